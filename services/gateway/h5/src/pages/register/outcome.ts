import type { Failure } from '@/api/failure'
import type { Volunteer } from '@/gen/zhiyuan/registration/v1/registration_pb'
import { clearDraft } from '@/draft'
import { endActivation } from './activation'
import { forgetWaiting } from './waiting'

/** What it takes to sign in at once; in memory alone, and only until then. */
export interface Credentials {
  identifier: string
  password: string
}

let volunteer: Volunteer | undefined
let volunteerOf = ''
let credentials: Credentials | undefined

/**
 * Somebody is registered: nothing of the form is kept, and no credentials but those of this one,
 * if there are any.
 */
export function registered(who: Volunteer, requestId: string, by: Credentials | undefined): void {
  volunteer = who
  volunteerOf = requestId
  credentials = by
  clearDraft()
  forgetWaiting()
  endActivation()
}

/** What signing in takes once the check that is waited for is done. */
export function rememberCredentials(by: Credentials | undefined): void {
  credentials = by
}

/** Who was registered last, if it was under this id. */
export function registeredVolunteer(requestId: unknown): Volunteer | undefined {
  return requestId === volunteerOf ? volunteer : undefined
}

/** The credentials, once. */
export function takeCredentials(): Credentials | undefined {
  const taken = credentials
  credentials = undefined
  return taken
}

export function hasCredentials(): boolean {
  return credentials !== undefined
}

let refusal: Failure | undefined

/** A registration that was waited for is refused: the form shows why. */
export function refusedLater(failure: Failure): void {
  refusal = failure
  forgetWaiting()
}

/** The refusal, once. */
export function takeRefusal(): Failure | undefined {
  const taken = refusal
  refusal = undefined
  return taken
}
