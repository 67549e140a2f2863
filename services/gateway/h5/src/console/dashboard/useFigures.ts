import { timestampMs } from '@bufbuild/protobuf/wkt'
import { onScopeDispose, ref, shallowRef } from 'vue'

import { failureOf, type Failure } from '@/api/failure'
import { clientOf } from '@/api/transport'
import {
  StatisticsService,
  type OrganizationStatistics,
} from '@/gen/zhiyuan/orgtree/v1/statistics_pb'
import { lineOf, ranked, type Line } from './figures'

/** How soon what is shown is asked for again, in milliseconds. */
const AGAIN_IN = 2_000
/** After a call that came to nothing. */
const LATER = 10_000

/** The figures of an organization and of those right below it, which stay those of now. */
export function useFigures(code: string) {
  const whole = shallowRef<Line>()
  const children = shallowRef<Line[]>([])
  /** In milliseconds. */
  const asOf = ref(0)
  const failure = shallowRef<Failure>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let over = false

  async function read(): Promise<void> {
    const rows: OrganizationStatistics[] = []
    const times: number[] = []
    let organization: OrganizationStatistics | undefined
    let pageToken = ''
    do {
      const asked = { organizationCode: code, pageSize: 500, pageToken }
      const page = await clientOf(StatisticsService).listOrganizationStatistics(asked)
      if (over) return
      organization = page.organization
      rows.push(...page.children)
      if (page.asOf) times.push(timestampMs(page.asOf))
      pageToken = page.nextPageToken
    } while (pageToken !== '')
    whole.value = organization && lineOf(organization)
    children.value = ranked(rows.map(lineOf))
    // Of pages that are of different moments the earliest holds for all.
    asOf.value = Math.min(...times)
  }

  async function load(): Promise<void> {
    clearTimeout(timer)
    let next = AGAIN_IN
    try {
      // Nobody looks: nothing is asked.
      if (!document.hidden) await read()
      failure.value = undefined
    } catch (thrown) {
      failure.value = failureOf(thrown)
      next = LATER
    }
    if (!over) timer = setTimeout(() => void load(), next)
  }

  const seen = () => {
    if (!document.hidden) void load()
  }
  document.addEventListener('visibilitychange', seen)
  onScopeDispose(() => {
    over = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', seen)
  })

  return { whole, children, asOf, failure, load }
}
