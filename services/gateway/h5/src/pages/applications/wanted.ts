import type { OrganizationApplication } from '@/gen/zhiyuan/orgtree/v1/organization_application_pb'
import { OrganizationKind } from '@/gen/zhiyuan/orgtree/v1/organization_pb'
import { texts } from '@/texts'
import { creditCodeFault, creditCodeOf } from './creditCode'

const words = texts.applications.form

/** What somebody fills in. */
export interface Wanted {
  kind: OrganizationKind
  superiorCode: string
  name: string
  regionCode: string
  creditCode: string
  phone: string
  groupNumber: string
  note: string
  purpose: string
}

/** The fields beside which something is said, by the names of the contract. */
export const FIELDS = [
  'kind',
  'superior_code',
  'details.name',
  'details.region_code',
  'details.credit_code',
  'details.contacts.phone',
  'details.contacts.group_number',
  'details.contacts.note',
  'purpose',
]

/** What is wrong, by the names of the contract. */
export type Faults = Record<string, string>

export function emptyWanted(): Wanted {
  return {
    kind: OrganizationKind.VOLUNTEER_GROUP,
    superiorCode: '',
    name: '',
    regionCode: '',
    creditCode: '',
    phone: '',
    groupNumber: '',
    note: '',
    purpose: '',
  }
}

/** What an application says, to be corrected. */
export function wantedOf({
  kind,
  superiorCode,
  details,
  purpose,
}: OrganizationApplication): Wanted {
  return {
    kind,
    superiorCode,
    name: details?.name ?? '',
    regionCode: details?.regionCode ?? '',
    creditCode: details?.creditCode ?? '',
    phone: details?.contacts?.phone ?? '',
    groupNumber: details?.contacts?.groupNumber ?? '',
    note: details?.contacts?.note ?? '',
    purpose,
  }
}

/** What is sent of it. */
export function said(wanted: Wanted) {
  return {
    kind: wanted.kind,
    details: {
      name: wanted.name.trim(),
      regionCode: wanted.regionCode,
      creditCode: creditCodeOf(wanted.creditCode),
      contacts: {
        phone: wanted.phone.trim(),
        groupNumber: wanted.groupNumber.trim(),
        note: oneLine(wanted.note),
      },
    },
    purpose: oneLine(wanted.purpose),
  }
}

/** What is found wrong before anything is sent. */
export function faultsOf(wanted: Wanted): Faults {
  const faults: Faults = {}
  const { details, purpose } = said(wanted)
  const { phone, groupNumber, note } = details.contacts
  if (!(wanted.kind in texts.applications.kinds)) faults['kind'] = words.kindMissing
  if (wanted.superiorCode === '') faults['superior_code'] = words.superiorMissing
  if (!between(details.name, 2, 100)) faults['details.name'] = words.nameLength
  if (details.creditCode !== '') {
    const fault = creditCodeFault(details.creditCode)
    if (fault) faults['details.credit_code'] = texts.applications.creditCode[fault]
  }
  if (phone === '') faults['details.contacts.phone'] = words.phoneMissing
  else if (!between(phone, 1, 50) || !only(phone, /\d/, words.phoneSigns)) {
    faults['details.contacts.phone'] = words.phoneForm
  }
  if (!between(groupNumber, 0, 50) || !only(groupNumber, /[0-9A-Za-z]/, words.groupSigns)) {
    faults['details.contacts.group_number'] = words.groupForm
  }
  if (!between(note, 0, 200)) faults['details.contacts.note'] = words.noteLength
  if (purpose === '') faults['purpose'] = words.purposeMissing
  else if (!between(purpose, 1, 200)) faults['purpose'] = words.purposeLength
  else if (holdsLongNumber(purpose)) faults['purpose'] = words.purposePersonal
  return faults
}

/** Whether a text holds a number that may be a person's, as the service looks for one. */
export function holdsLongNumber(text: string): boolean {
  return text.split(/\p{Alphabetic}/u).some((run) => (run.match(/\p{N}/gu) ?? []).length > 5)
}

/** Of which length a text is, as people count characters. */
export function lengthOf(text: string): number {
  return [...oneLine(text)].length
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim()
}

function between(text: string, least: number, most: number): boolean {
  const length = [...text].length
  return length >= least && length <= most
}

function only(text: string, known: RegExp, signs: string): boolean {
  return [...text].every((character) => known.test(character) || signs.includes(character))
}
