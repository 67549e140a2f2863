import { GuardianRelation } from '@/gen/zhiyuan/identity/v1/guardian_pb'
import { isGood, judge } from '@/pieces/passwordRule'
import { mobileOf } from '@/pieces/typing'
import { texts } from '@/texts'
import type { RegisterForm } from './form'
import { classOf, readIdNumber } from './idNumber'

/** What is wrong with which field, by its name in the contract. */
export type Faults = Record<string, string>

/** What is asked of a form besides what is in it. */
export interface Circumstances {
  today: string
  /** Whether name, ID number and phone are those of a roster. */
  activated: boolean
  guardian: boolean
  consentsComplete: boolean
  claiming: boolean
}

const words = texts.register.faults

/** What is wrong with an ID number, for whoever types it; empty if nothing is. */
export function idNumberFault(typed: string, today: string): string {
  if (typed.trim() === '') return words.idNumber
  const { fault, age } = readIdNumber(typed, today)
  if (fault !== undefined) return texts.register.idFaults[fault]
  return age !== undefined && classOf(age) === 'tooYoung' ? texts.register.idFaults.tooYoung : ''
}

/** All that is known to be wrong before a form is sent, in the order of the form. */
export function check(form: RegisterForm, about: Circumstances): Faults {
  const { guardian } = form
  const faults: Faults = {}
  const note = (field: string, fault: string | false) => {
    if (fault !== false && fault !== '') faults[field] ??= fault
  }
  if (!about.activated) {
    note('name', nameFault(form.name))
    note('id_number', idNumberFault(form.idNumber, about.today))
  }
  note('region_code', form.regionCode === '' && words.region)
  note('organization_code', form.organizationCode === '' && words.organization)
  if (!about.activated) {
    note('phone', mobileOf(form.phone) === '' && words.phone)
    note('sms_code', codeFault(form.smsChallengeId, form.smsCode))
  }
  note('password', passwordFault(form))
  if (about.guardian) {
    note('guardian.name', nameFault(guardian.name))
    note('guardian.id_number', guardianNumberFault(form, about))
    note('guardian.relation', guardian.relation === GuardianRelation.UNSPECIFIED && words.relation)
    note('guardian.phone', mobileOf(guardian.phone) === '' && words.phone)
    const same = !about.activated && mobileOf(guardian.phone) === mobileOf(form.phone)
    note('guardian.phone', same && words.guardianPhone)
    note('guardian.sms_code', codeFault(guardian.smsChallengeId, guardian.smsCode))
  }
  note('consents', !about.consentsComplete && words.consent)
  if (about.claiming) note('claim_statement', form.claimStatement.trim() === '' && words.claim)
  return faults
}

function nameFault(name: string): string {
  if (name.trim() === '') return words.name
  return [...name.trim()].length < 2 ? words.nameShort : ''
}

function codeFault(challengeId: string, code: string): string {
  if (challengeId === '') return words.codeFirst
  return code.length === 6 ? '' : words.code
}

function passwordFault({ password, phone, idNumber }: RegisterForm): string {
  if (password === '') return words.password
  return isGood(judge(password, phone, idNumber)) ? '' : words.passwordRule
}

function guardianNumberFault(form: RegisterForm, { today, activated }: Circumstances): string {
  const { text, fault, age } = readIdNumber(form.guardian.idNumber, today)
  if (form.guardian.idNumber.trim() === '') return words.idNumber
  if (fault !== undefined) return texts.register.idFaults[fault]
  if (!activated && text === readIdNumber(form.idNumber, today).text) return words.guardianSame
  return age !== undefined && age < 18 ? words.guardianYoung : ''
}
