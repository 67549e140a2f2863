import { expect, test } from 'vitest'

import { shortName, soughtName } from './organizations'

test('people search by the names that they use', () => {
  expect(soughtName('安徽大学团委')).toBe('安徽大学')
  expect(soughtName(' 共青团 店埠镇 委员会 ')).toBe('店埠镇')
  expect(soughtName('店埠')).toBe('店埠')
})

test('a word that is only a form of address is still searched for', () => {
  expect(soughtName('团委')).toBe('团委')
  expect(soughtName('共青团')).toBe('共青团')
})

test('above an organization only the place is told', () => {
  expect(shortName('共青团合肥市委员会')).toBe('合肥市')
  expect(shortName('蓝天志愿服务队')).toBe('蓝天志愿服务队')
})
