import { expect, test } from 'vitest'

import { ageOn, classOf, readIdNumber, shanghaiDay } from './idNumber'

const TODAY = '2026-12-01'
const faultOf = (text: string) => readIdNumber(text, TODAY).fault

test('takes numbers of citizens, residence permits and foreigners', () => {
  for (const text of [
    '11010519491231002X',
    '34182219980101005X',
    '340102200002290033',
    '810000199901010014',
    '934840199001010014',
    '340104190101019966',
  ]) {
    expect([text, faultOf(text)]).toEqual([text, undefined])
  }
})

test('takes a number as people type it', () => {
  const read = readIdNumber(' 341822 １９９８０１０１ 005x', TODAY)
  expect(read).toEqual({ text: '34182219980101005X', fault: undefined, age: 28 })
})

test('says what is wrong', () => {
  expect(faultOf('34182219980101005')).toBe('length')
  expect(faultOf('340826780915011')).toBe('legacy')
  expect(faultOf('3418221998O101005X')).toBe('characters')
  expect(faultOf('340826200502290012')).toBe('birthDate')
  expect(faultOf('340826209905290012')).toBe('birthDateInFuture')
  expect(faultOf('341822199801010051')).toBe('checksum')
})

test('every number with one digit mistyped is found', () => {
  const right = '34182219980101005X'
  for (let place = 0; place < 17; place += 1) {
    for (const digit of '0123456789') {
      if (digit === right[place]) continue
      const wrong = right.slice(0, place) + digit + right.slice(place + 1)
      expect([wrong, faultOf(wrong)]).not.toEqual([wrong, undefined])
    }
  }
})

test('an age is completed on the birthday', () => {
  expect(ageOn('2012-12-01', TODAY)).toBe(14)
  expect(ageOn('2012-12-02', TODAY)).toBe(13)
  expect(ageOn('2008-02-29', '2026-02-28')).toBe(17)
  expect(ageOn('2008-02-29', '2026-03-01')).toBe(18)
})

test('from 14 on with a guardian, from 18 on without', () => {
  expect([13, 14, 15, 16, 17, 18].map(classOf)).toEqual([
    'tooYoung',
    'minor',
    'minor',
    'workingAge',
    'workingAge',
    'adult',
  ])
})

test('the day is that of Shanghai', () => {
  expect(shanghaiDay(Date.parse('2026-11-30T15:59:59Z'))).toBe('2026-11-30')
  expect(shanghaiDay(Date.parse('2026-11-30T16:00:00Z'))).toBe('2026-12-01')
})
