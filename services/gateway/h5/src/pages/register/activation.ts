import type { Timestamp } from '@bufbuild/protobuf/wkt'
import { shallowRef } from 'vue'

import { millisOf, serverNow } from '@/api/clock'

/** Of whom an organization has put on its roster, proved by a code and the default password. */
export interface Activation {
  /** A secret, kept nowhere but here. */
  proof: string
  maskedName: string
  expireTime: Timestamp | undefined
}

const begun = shallowRef<Activation>()

/** The form is now that of somebody who activates: go to `/register?activation=1`. */
export function beginWithActivation(activation: Activation): void {
  begun.value = activation
}

/** Who activates, as long as the proof is good. */
export function currentActivation(): Activation | undefined {
  const until = begun.value?.expireTime
  if (until !== undefined && millisOf(until) <= serverNow()) begun.value = undefined
  return begun.value
}

/** The proof is used, or of no use any more. */
export function endActivation(): void {
  begun.value = undefined
}
