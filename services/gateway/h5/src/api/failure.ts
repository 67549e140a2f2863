import { texts } from '@/texts'

/** Why a call came to nothing, for the person who waits for it. */
export interface Failure {
  /** Stable, such as `SMS_TOO_SOON`; `NETWORK` where no answer came, `UNKNOWN` without a reason. */
  reason: string
  /** zh-CN, what happened and what to do. */
  message: string
  /** What is wrong with which field, by its name in the contract (`guardian.id_number`). */
  fields: Record<string, string>
  /** When asking again makes sense, by the server's clock in milliseconds. */
  retryAt: number | undefined
  /** What belongs to the reason. */
  metadata: Record<string, string>
  /** Whether it is known that nothing was done. Else the same request is to be sent again. */
  certain: boolean
  /** By which the operators find the call; empty where none came. */
  traceId: string
}

/** Reads what a call threw. */
export function failureOf(thrown: unknown): Failure {
  const told = (thrown as { failure?: Failure } | undefined)?.failure
  if (told !== undefined) return told
  // What calls are made with was not loaded.
  const network = thrown instanceof TypeError
  return {
    reason: network ? 'NETWORK' : 'UNKNOWN',
    message: network ? texts.failure.network : texts.failure.unknown,
    fields: {},
    retryAt: undefined,
    metadata: {},
    certain: false,
    traceId: '',
  }
}
