import type { Draft } from '@/draft'
import { SmsPurpose } from '@/gen/zhiyuan/identity/v1/sms_code_pb'
import { codeSent } from '@/pieces/sentCodes'
import { mobileOf } from '@/pieces/typing'
import { emptyForm, type RegisterForm } from './form'

/** What of a form is kept: neither passwords nor codes. */
export type KeptForm = Omit<RegisterForm, 'password' | 'smsCode' | 'guardian'> & {
  guardian: Omit<RegisterForm['guardian'], 'smsCode'>
}

/** A code is good for that long, in milliseconds. */
const CODE_GOOD = 5 * 60_000

/** What is kept of a form. */
export function keptOf(form: RegisterForm): KeptForm {
  const { password: _password, smsCode: _code, guardian, ...rest } = form
  const { smsCode: _guardianCode, ...guardianRest } = guardian
  return { ...rest, guardian: guardianRest }
}

/**
 * The form that was kept. A code that is still good can be typed in: who looks at the message in
 * another app often comes back to a page that has been loaded anew.
 */
export function formOf({ form: kept }: Draft<Partial<KeptForm>>, now: number): RegisterForm {
  const empty = emptyForm()
  const form: RegisterForm = {
    ...empty,
    ...kept,
    password: '',
    smsCode: '',
    guardian: { ...empty.guardian, ...kept.guardian, smsCode: '' },
  }
  form.smsChallengeId = still(form.smsChallengeId, now)
  form.guardian.smsChallengeId = still(form.guardian.smsChallengeId, now)
  remember(form.phone, SmsPurpose.REGISTER, form.smsChallengeId)
  remember(form.guardian.phone, SmsPurpose.GUARDIAN_CONSENT, form.guardian.smsChallengeId)
  return form
}

function remember(phone: string, purpose: SmsPurpose, challengeId: string): void {
  if (challengeId !== '') codeSent(mobileOf(phone), purpose, challengeId)
}

/** The challenge if its code may still be good: its id begins with when it was made (UUIDv7). */
function still(challengeId: string, now: number): string {
  const made = Number.parseInt(challengeId.replace(/-/g, '').slice(0, 12), 16)
  return now - made < CODE_GOOD ? challengeId : ''
}
