import { sha256 } from '@noble/hashes/sha2.js'
import { expect, test } from 'vitest'

import { solve, zeroBits } from './solving'

test('counts the bits before the first one', () => {
  expect(zeroBits(Uint8Array.of(0xff))).toBe(0)
  expect(zeroBits(Uint8Array.of(0x01, 0xff))).toBe(7)
  expect(zeroBits(Uint8Array.of(0x00, 0x10))).toBe(11)
})

test('a nonce is one that the suite takes', () => {
  const nonce = solve('a.challenge', 12)
  expect(nonce).toMatch(/^[A-Za-z0-9_-]{1,32}$/)
  expect(zeroBits(sha256(new TextEncoder().encode(`a.challenge.${nonce}`)))).toBeGreaterThanOrEqual(
    12,
  )
})
