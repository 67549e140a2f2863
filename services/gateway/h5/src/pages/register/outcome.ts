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
let credentials: Credentials | undefined

/** Somebody is registered: nothing of the form is kept. */
export function registered(who: Volunteer, by?: Credentials): void {
  volunteer = who
  if (by !== undefined) credentials = by
  clearDraft()
  forgetWaiting()
  endActivation()
}

/** What signing in takes once the check that is waited for is done. */
export function rememberCredentials(by: Credentials | undefined): void {
  credentials = by
}

export function registeredVolunteer(): Volunteer | undefined {
  return volunteer
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
