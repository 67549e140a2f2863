import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { expect, test } from 'vitest'

import { dateOf, timeOf } from './moments'

test('days and times are those of Anhui', () => {
  const late = timestampFromDate(new Date('2026-11-30T16:05:00Z'))
  expect(dateOf(late)).toBe('2026年12月1日')
  expect(timeOf(late)).toBe('2026年12月1日 00:05')
  expect(timeOf(undefined)).toBe('')
})
