import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'

import { OrganizationStatisticsSchema } from '@/gen/zhiyuan/orgtree/v1/statistics_pb'
import { lineOf, percent, ranked } from './figures'

test('a percentage is never rounded up', () => {
  for (const [told, shown] of [
    [9000, '90%'],
    [8999, '89.99%'],
    [9010, '90.1%'],
    [9001, '90.01%'],
    [0, '0%'],
    [10000, '100%'],
    [12345, '123.45%'],
  ] as const) {
    expect(percent(told)).toBe(shown)
  }
})

test('what is stated counts along, and who has nobody has no rate', () => {
  const subtree = { members: 10n, registeredMembers: 9n, statedMembers: 5n }
  const more = { statedRegisteredMembers: 1n, registeredPerTenThousand: 6666, volunteers: 3n }
  const row = create(OrganizationStatisticsSchema, {
    organizationCode: 'A',
    subtree: { ...subtree, ...more, verifiedVolunteers: 1n },
    target: { target: { registeredPerTenThousand: 9000, deadline: '2026-12-31' }, lacking: 4n },
  })
  const line = lineOf(row)
  expect(line).toMatchObject({ members: 15n, registered: 10n, rate: 6666, stated: true })
  expect(line).toMatchObject({ verified: 3333, met: undefined, rank: undefined })
  expect(line.target).toEqual({
    share: 9000,
    deadline: '2026-12-31',
    lacking: 4n,
    perDay: undefined,
  })
  expect(lineOf(create(OrganizationStatisticsSchema))).toMatchObject({
    members: 0n,
    rate: undefined,
    verified: undefined,
    target: undefined,
  })
})

test('the ranks come first, and all others by code', () => {
  const line = (organizationCode: string, rank?: number) =>
    lineOf(create(OrganizationStatisticsSchema, { organizationCode, rank }))
  const all = [line('D'), line('B', 2), line('C'), line('A', 10), line('E', 1)]
  expect(ranked(all).map(({ code }) => code)).toEqual(['E', 'B', 'A', 'C', 'D'])
})
