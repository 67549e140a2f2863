import { expect, test } from 'vitest'

import { invitationCodeOf, readOut } from './invitationCode'

test('small and wide letters, spaces and hyphens are no matter', () => {
  for (const typed of ['K7QM2XPA', ' k7qm 2xpa', 'k7qm-2xpa', 'Ｋ７ＱＭ２ＸＰＡ', 'K7QM–2XPA']) {
    expect(invitationCodeOf(typed), typed).toBe('K7QM2XPA')
  }
})

test('what is no code is none', () => {
  for (const typed of ['', 'K7QM2XP', 'K7QM2XPAB', 'K7QM2XP!', '邀请码邀请码邀请']) {
    expect(invitationCodeOf(typed), typed).toBe('')
  }
})

test('a number is read out in two parts', () => {
  expect(readOut('012345')).toBe('012 345')
})
