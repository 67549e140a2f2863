import { ref, shallowRef, watch } from 'vue'

import { CODE_REASONS, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { PhoneRecoveryService } from '@/gen/zhiyuan/identity/v1/phone_recovery_pb'
import { compact, mobileOf } from '@/pieces/typing'
import { texts } from '@/texts'

export type Way = 'notice' | 'code'
type Field = 'phone' | 'sms_code' | 'objection_code'

const words = texts.lostPhone.objection

/** Objecting without a session: by what a notice says, or by a code to the phone. */
export function useObjection(done: () => void) {
  const way = ref<Way>('notice')
  const phone = ref('')
  const code = ref('')
  const challengeId = ref('')
  const objectionCode = ref('')
  const faults = shallowRef<Partial<Record<Field, string>>>({})
  const submission = useSubmission()

  watch(way, () => submission.clear())
  watch([way, phone, code, objectionCode], () => (faults.value = {}))

  function check(): boolean {
    const found: Partial<Record<Field, string>> = {}
    const isPhone = mobileOf(phone.value) !== ''
    if (!isPhone) found.phone = words.phoneFormat
    if (way.value === 'notice') {
      if (!/^\d{10}$/.test(digitsOf(objectionCode.value))) found.objection_code = words.codeFormat
    } else if (isPhone && challengeId.value === '') found.sms_code = texts.signIn.codeFirst
    else if (code.value.length !== 6) found.sms_code = texts.signIn.codeMissing
    faults.value = found
    return Object.keys(found).length === 0
  }

  async function submit(): Promise<void> {
    if (!check()) return
    const recoveries = clientOf(PhoneRecoveryService)
    const answer = await submission.run<unknown>(() =>
      way.value === 'notice'
        ? recoveries.objectToPhoneRecoveryByNotice({
            phone: mobileOf(phone.value),
            objectionCode: digitsOf(objectionCode.value),
          })
        : recoveries.objectToPhoneRecoveryByCode({
            phone: mobileOf(phone.value),
            smsChallengeId: challengeId.value,
            smsCode: code.value,
          }),
    )
    if (answer !== undefined) done()
  }

  function errorOf(field: Field): string | undefined {
    const reasons = field === 'sms_code' ? CODE_REASONS : []
    return faults.value[field] ?? submission.faultOf(field, ...reasons)
  }

  return { way, phone, code, challengeId, objectionCode, faults, submission, submit, errorOf }
}

function digitsOf(typed: string): string {
  return compact(typed).replace(/-/g, '')
}
