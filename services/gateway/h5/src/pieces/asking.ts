import type { Failure } from '@/api/failure'

/**
 * Who can mend it: oneself; the own committee, as the notice says of questions of registration; or
 * the province, as it says of technical ones.
 */
export type Track = 'oneself' | 'registration' | 'technical'

/** What somebody mends by filling in, choosing or tapping otherwise, or by waiting. */
export const ONESELF: readonly string[] = [
  'NETWORK',
  'INVALID_FIELDS',
  'UNAUTHENTICATED',
  'TOKEN_INVALID',
  'SECOND_FACTOR_REQUIRED',
  'OVERLOADED',
  'CONFLICT',
  'DRAINING',
  'QUOTA_EXHAUSTED',
  // Codes.
  'SMS_TOO_SOON',
  'SMS_DAILY_LIMIT',
  'SMS_BUDGET_EXHAUSTED',
  'SMS_CODE_WRONG',
  'SMS_CODE_EXPIRED',
  'SMS_CODE_USED',
  'SMS_CODE_TRIES_EXHAUSTED',
  'GUARDIAN_SMS_CODE_WRONG',
  'GUARDIAN_SMS_CODE_EXPIRED',
  'GUARDIAN_SMS_CODE_USED',
  'GUARDIAN_SMS_CODE_TRIES_EXHAUSTED',
  // Signing in.
  'SIGN_IN_REFUSED',
  'SIGN_IN_DELAYED',
  'SECOND_PROOF_REQUIRED',
  'SESSION_OVER',
  'SESSION_NOT_FOUND',
  'PASSWORD_WRONG',
  'PHONE_PROOF_MISSING',
  'ACTIVATION_PROOF_OVER',
  // Consents.
  'CONSENT_MISSING',
  'CONSENT_OUTDATED',
  'CONSENT_REQUIRED',
  'CONSENT_CHANGED',
  // The form.
  'GUARDIAN_REQUIRED',
  'ETAG_STALE',
  'ORGANIZATION_NOT_FOUND',
  'ORGANIZATION_CLOSED',
  'ORGANIZATION_TAKES_NO_REGISTRATIONS',
  'REGION_NOT_FOUND',
  // Recoveries, invitations, applications.
  'RECOVERY_TOO_EARLY',
  'CLAIM_TOO_EARLY',
  'GRANT_TO_SELF',
  'INVITATION_NOT_FOUND',
  'INVITATION_CODES_WRONG',
  'ORGANIZATION_NAME_TAKEN',
  'APPLICATION_NOT_FOUND',
  'APPLICATION_ENDED',
  'APPLICATION_NOT_WITH_CALLER',
  'APPLICATION_CHANGED',
  'APPLICATIONS_TOO_MANY',
  'APPLICATIONS_TOO_MANY_TODAY',
]

/** What is the fault of the system, or of the pages. */
export const TECHNICAL: readonly string[] = [
  'UNKNOWN',
  'MALFORMED_REQUEST',
  'METHOD_NOT_FOUND',
  'SCOPE_MISSING',
  'MESSAGE_TOO_LARGE',
  'DEADLINE_EXCEEDED',
  'DEADLINE_MALFORMED',
  'UNAVAILABLE',
  'INTERNAL',
  'DATA_CORRUPT',
  'PAGE_TOKEN_INVALID',
  'REVOCATIONS_STALE',
  'CROSS_SITE',
  'REQUEST_ID_REUSED',
  'CHALLENGE_REQUIRED',
  'SMS_UNAVAILABLE',
]

const oneself = new Set(ONESELF)
const technical = new Set(TECHNICAL)

/** Whom somebody asks of a failure; of what is not known here, a person rather than nobody. */
export function trackOf({ reason }: Pick<Failure, 'reason'>): Track {
  if (oneself.has(reason)) return 'oneself'
  return technical.has(reason) ? 'technical' : 'registration'
}
