import { computed, onScopeDispose, ref, shallowRef, type ComputedRef, type Ref } from 'vue'

import { withChallenge, type Solution } from './challenge'
import { serverNow } from './clock'
import { failureOf, type Failure } from './failure'
import { makeRequestId } from './requestId'

/** A call that somebody waits for, one at a time. */
export interface Submission {
  busy: Ref<boolean>
  /** Whether the device does the work that the suite asked for. */
  working: Ref<boolean>
  failure: Ref<Failure | undefined>
  /** For how many seconds the suite wants no other try; 0 if it takes one. */
  wait: ComputedRef<number>
  /** Runs the call; `undefined` if it failed, or another one runs. */
  run: <T>(call: (solution: Solution | undefined) => Promise<T>) => Promise<T | undefined>
  /** What a field is told, by its name or by a reason that concerns it. */
  faultOf: (field: string, ...reasons: string[]) => string | undefined
  /** Forgets what went wrong. */
  clear: () => void
}

/** Waits for calls, and keeps what became of the last one. */
export function useSubmission(): Submission {
  const busy = ref(false)
  const working = ref(false)
  const failure = shallowRef<Failure>()
  const now = ref(serverNow())

  const ticking = setInterval(() => (now.value = serverNow()), 500)
  onScopeDispose(() => clearInterval(ticking))

  const wait = computed(() => {
    const { reason, retryAt } = failure.value ?? {}
    if (reason !== 'SIGN_IN_DELAYED' || retryAt === undefined) return 0
    return Math.max(0, Math.ceil((retryAt - now.value) / 1000))
  })

  async function run<T>(
    call: (solution: Solution | undefined) => Promise<T>,
  ): Promise<T | undefined> {
    if (busy.value || wait.value > 0) return undefined
    busy.value = true
    failure.value = undefined
    try {
      return await withChallenge(call, (atWork) => (working.value = atWork))
    } catch (thrown) {
      failure.value = failureOf(thrown)
      return undefined
    } finally {
      busy.value = false
      now.value = serverNow()
    }
  }

  function faultOf(field: string, ...reasons: string[]): string | undefined {
    const { reason, fields, message } = failure.value ?? {}
    if (reason !== undefined && reasons.includes(reason)) return message
    return fields?.[field]
  }

  return { busy, working, failure, wait, run, faultOf, clear: () => (failure.value = undefined) }
}

/** What is wrong with a code that was sent. */
export const CODE_REASONS = [
  'SMS_CODE_WRONG',
  'SMS_CODE_EXPIRED',
  'SMS_CODE_USED',
  'SMS_CODE_TRIES_EXHAUSTED',
]

/**
 * The `request_id` of a change: the same one as long as it is not known whether the same change was
 * made, so that a second tap or a lost answer makes it once.
 */
export class RequestId {
  private id = ''
  private content = ''

  of(content: string): string {
    if (this.id === '' || content !== this.content) {
      this.id = makeRequestId()
      this.content = content
    }
    return this.id
  }

  /** It is known what became of it. */
  done(): void {
    this.id = ''
  }
}
