import { expect, test } from 'vitest'

import { texts } from '@/texts'
import { untilText } from './retryTime'

const words = texts.failure.again
/** 23:50 in Anhui. */
const now = Date.parse('2026-11-30T15:50:00Z')
const until = (time: string) => untilText(Date.parse(time), now)

test('short waits are counted down', () => {
  expect(untilText(now + 52_001, now)).toBe(words.seconds(53))
  expect(untilText(now + 120_000, now)).toBe(words.seconds(120))
})

test('a wait that is over is told as such', () => {
  expect(untilText(now, now)).toBe(words.now)
  expect(untilText(now - 5000, now)).toBe(words.now)
})

test('long waits are told by the clock of Anhui', () => {
  expect(until('2026-11-30T15:58:30Z')).toBe(words.today('23:58'))
  expect(until('2026-11-30T16:00:00Z')).toBe(words.tomorrow('00:00'))
  expect(until('2026-12-02T04:05:00Z')).toBe(words.later(12, 2, '12:05'))
})
