import { expect, test } from 'vitest'

import { isGood, judge } from './passwordRule'

const ID = '34182219980101005X'
const PHONE = '13907351842'

test('has 6 to 16 characters, whatever they are', () => {
  expect(judge('abc12', '', '').length).toBe(false)
  expect(judge('志愿者有六字', '', '').length).toBe(true)
  expect(judge('a1b2c3d4e5f6g7h8i', '', '').length).toBe(false)
})

test('is not digits only, full-width ones included', () => {
  expect(judge('907351', '', '').notDigits).toBe(false)
  expect(judge('９０７３５１', '', '').notDigits).toBe(false)
  expect(judge('90735l', '', '').notDigits).toBe(true)
})

test('has no part of ID number, birthday or phone', () => {
  for (const password of ['a341822', 'Wang980101', 'x01005x', 'a390735', 'a+86139', 'ｘ01005ｘ']) {
    expect(judge(password, PHONE, ID).notPersonal, password).toBe(false)
  }
  for (const password of ['a34182b', 'wang1998', '1842-wang']) {
    expect(isGood(judge(password, PHONE, ID)), password).toBe(true)
  }
})

test('of what is not known nothing is said', () => {
  expect(judge('luzhou-2026', '', '').notPersonal).toBeUndefined()
})
