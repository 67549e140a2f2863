import type { OrganizationStatistics } from '@/gen/zhiyuan/orgtree/v1/statistics_pb'

/** What a row shows. */
export interface Line {
  code: string
  name: string
  rank: number | undefined
  members: bigint
  registered: bigint
  /** Of ten thousand. */
  rate: number | undefined
  /** Whether some of the members are stated. */
  stated: boolean
  volunteers: bigint
  /** Of ten thousand. */
  verified: number | undefined
  met: boolean | undefined
  target:
    { share: number; deadline: string; lacking: bigint; perDay: bigint | undefined } | undefined
}

/** The figures of an organization with all below it. */
export function lineOf(row: OrganizationStatistics): Line {
  const { subtree, target } = row
  const stated = subtree?.statedMembers ?? 0n
  const volunteers = subtree?.volunteers ?? 0n
  const verified = subtree?.verifiedVolunteers ?? 0n
  return {
    code: row.organizationCode,
    name: row.organizationName,
    rank: row.rank,
    members: (subtree?.members ?? 0n) + stated,
    registered: (subtree?.registeredMembers ?? 0n) + (subtree?.statedRegisteredMembers ?? 0n),
    rate: subtree?.registeredPerTenThousand,
    stated: stated > 0n,
    volunteers,
    verified: volunteers > 0n ? Number((verified * 10_000n) / volunteers) : undefined,
    met: target?.met,
    target: target?.target && {
      share: target.target.registeredPerTenThousand,
      deadline: target.target.deadline,
      lacking: target.lacking,
      perDay: target.lackingPerDay,
    },
  }
}

/** In the order of the ranks; who has none comes after them, by code. */
export function ranked(lines: Line[]): Line[] {
  const last = Number.MAX_SAFE_INTEGER
  return [...lines].sort(
    (one, other) => (one.rank ?? last) - (other.rank ?? last) || (one.code < other.code ? -1 : 1),
  )
}

/** `90.12%` of 9012; rounded down as it was told, so that nobody has 90 % who lacks somebody. */
export function percent(perTenThousand: number): string {
  const whole = Math.floor(perTenThousand / 100)
  const rest = perTenThousand % 100
  return rest === 0 ? `${whole}%` : `${whole}.${String(rest).padStart(2, '0').replace(/0$/, '')}%`
}

const numbers = new Intl.NumberFormat('zh-CN')

/** `1,234`. */
export function counted(people: bigint): string {
  return numbers.format(people)
}
