import { expect, test } from 'vitest'

import { compact, grouped, maskedMobile, mobileOf } from './typing'

test('a mobile number is known however it was typed', () => {
  for (const typed of [
    '13800000001',
    ' 138 0000 0001',
    '+86 138-0000-0001',
    '１３８００００００01',
  ]) {
    expect(mobileOf(typed)).toBe('13800000001')
  }
})

test('what is no mobile number is none', () => {
  for (const typed of ['', '1380000000', '12800000001', '0551-63609733', '138000000012']) {
    expect(mobileOf(typed)).toBe('')
  }
})

test('full-width characters become half-width ones', () => {
  expect(compact('３４０１０４ ２０１１０６０１００１ｘ')).toBe('34010420110601001x')
})

test('numbers are told so that people can read them', () => {
  expect(maskedMobile('13800000001')).toBe('138****0001')
  expect(grouped('340122000000011')).toBe('340122 0000 00011')
})
