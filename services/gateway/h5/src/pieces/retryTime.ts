import { computed, onScopeDispose, ref, type ComputedRef } from 'vue'

import { serverNow } from '@/api/clock'
import { texts } from '@/texts'

/** Longer waits are told by the time at which they end, in seconds. */
const COUNTED = 120
const DAY = 24 * 3_600_000
/** Anhui has no summer time. */
const EAST = 8 * 3_600_000

const words = texts.failure.again

/** When asking again makes sense, counted down; empty if nobody has said. */
export function useRetryTime(retryAt: () => number | undefined): ComputedRef<string> {
  const now = ref(serverNow())
  const ticking = setInterval(() => (now.value = serverNow()), 500)
  onScopeDispose(() => clearInterval(ticking))
  return computed(() => {
    const time = retryAt()
    return time === undefined ? '' : untilText(time, now.value)
  })
}

/** How somebody is told when to come again. */
export function untilText(time: number, now: number): string {
  const seconds = Math.ceil((time - now) / 1000)
  if (seconds <= 0) return words.now
  if (seconds <= COUNTED) return words.seconds(seconds)
  const moment = new Date(time + EAST)
  const clock = moment.toISOString().slice(11, 16)
  const days = Math.floor((time + EAST) / DAY) - Math.floor((now + EAST) / DAY)
  if (days === 0) return words.today(clock)
  if (days === 1) return words.tomorrow(clock)
  return words.later(moment.getUTCMonth() + 1, moment.getUTCDate(), clock)
}
