import { expect, test } from 'vitest'

import { creditCodeFault, creditCodeOf } from './creditCode'

/** As the service has them: three of real organizations, and made ones of each kind. */
const GOOD = [
  '91350100M000100Y43',
  '91110000600037341L',
  '12100000400010275N',
  '13340000MB0X000197',
  '12340000MB0000019F',
  '51340000MJ0000034F',
  '52340100MJ0000042C',
  '53340000MJ0000050Y',
  '91340100MA00000669',
]
const ALPHABET = '0123456789ABCDEFGHJKLMNPQRTUWXY'

test('takes codes as they are published', () => {
  for (const code of GOOD) expect(creditCodeFault(code), code).toBeUndefined()
})

test('takes them however they are typed', () => {
  for (const typed of [
    ' 51340000mj0000034f',
    '５１３４００００ＭＪ０００００３４Ｆ',
    '5134 0000 MJ00 0003 4F',
  ]) {
    expect(creditCodeFault(typed), typed).toBeUndefined()
    expect(creditCodeOf(typed)).toBe('51340000MJ0000034F')
  }
})

test('tells what is wrong, as the service does', () => {
  const wrong = {
    '51340000MJ0000034': 'length',
    '51340000MJ0000034F0': 'length',
    '5134000OMJ0000034F': 'characters',
    '5134000AMJ0000034F': 'characters',
    '51340000MJ000003团F': 'characters',
    '51340000MJ0000035F': 'body',
    '51340000MJ0000034G': 'checksum',
    '51340001MJ0000034F': 'checksum',
  }
  for (const [code, fault] of Object.entries(wrong)) expect(creditCodeFault(code), code).toBe(fault)
})

test('finds every single wrong character', () => {
  for (const code of GOOD) {
    for (let place = 0; place < 18; place += 1) {
      for (const other of ALPHABET) {
        const typed = code.slice(0, place) + other + code.slice(place + 1)
        expect(creditCodeFault(typed) === undefined, typed).toBe(typed === code)
      }
    }
  }
})
