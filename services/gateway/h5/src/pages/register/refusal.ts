import type { Failure } from '@/api/failure'
import { texts } from '@/texts'
import type { Faults } from './checks'

/** How a failure is shown: beside fields, and as something that concerns the whole form. */
export interface Told {
  faults: Faults
  /** Shown above the button, where no field can be corrected. */
  whole: Failure | undefined
}

/** The fields that a refusal is about. Others concern the form as a whole. */
const FIELDS: Record<string, string[]> = {
  ORGANIZATION_NOT_FOUND: ['organization_code'],
  ORGANIZATION_CLOSED: ['organization_code'],
  ORGANIZATION_TAKES_NO_REGISTRATIONS: ['organization_code'],
  SMS_CODE_WRONG: ['sms_code'],
  SMS_CODE_EXPIRED: ['sms_code'],
  SMS_CODE_USED: ['sms_code'],
  SMS_CODE_TRIES_EXHAUSTED: ['sms_code'],
  GUARDIAN_SMS_CODE_WRONG: ['guardian.sms_code'],
  GUARDIAN_SMS_CODE_EXPIRED: ['guardian.sms_code'],
  GUARDIAN_SMS_CODE_USED: ['guardian.sms_code'],
  GUARDIAN_SMS_CODE_TRIES_EXHAUSTED: ['guardian.sms_code'],
  GUARDIAN_ID_MISMATCH: ['guardian.name', 'guardian.id_number'],
  GUARDIAN_REQUIRED: ['guardian.name'],
  CONSENT_MISSING: ['consents'],
  CONSENT_OUTDATED: ['consents'],
  UNDER_AGE: ['id_number'],
  ID_NAME_MISMATCH: ['name', 'id_number'],
  ID_NOT_FOUND: ['id_number'],
}

/** Of whom a roster knows it, these fields are not on the form. */
const NOT_ACTIVATED = new Set(['name', 'id_number', 'phone', 'sms_code'])

/** The fields of the form, by their names in the contract. */
const SHOWN = new Set([
  'name',
  'id_number',
  'region_code',
  'organization_code',
  'phone',
  'sms_code',
  'password',
  'guardian.name',
  'guardian.id_number',
  'guardian.relation',
  'guardian.phone',
  'guardian.sms_code',
  'consents',
  'claim_statement',
])

/** Sorts what a failure says to where it can be acted on. */
export function tell(failure: Failure, activated: boolean): Told {
  const faults: Faults = {}
  let elsewhere = false
  const note = (field: string, message: string) => {
    if (SHOWN.has(field) && !(activated && NOT_ACTIVATED.has(field))) faults[field] ??= message
    else elsewhere = true
  }
  for (const [field, message] of Object.entries(failure.fields)) {
    const [shown, fault] = beside(field, message)
    note(shown, fault)
  }
  for (const field of FIELDS[failure.reason] ?? []) note(field, failure.message)
  const found = Object.keys(faults).length > 0
  return { faults, whole: found && !elsewhere ? undefined : failure }
}

/** Fields that nobody types are shown beside the one that they come with. */
function beside(field: string, message: string): [string, string] {
  if (field.startsWith('consents')) return ['consents', message]
  const challenge = /^(guardian\.)?sms_challenge_id$/.exec(field)
  if (challenge) return [`${challenge[1] ?? ''}sms_code`, texts.register.faults.codeFirst]
  return [field === 'guardian' ? 'guardian.name' : field, message]
}
