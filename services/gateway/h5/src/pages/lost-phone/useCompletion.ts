import { ref, shallowRef, watch } from 'vue'

import { CODE_REASONS, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { PhoneRecoveryService } from '@/gen/zhiyuan/identity/v1/phone_recovery_pb'
import { isGood, judge } from '@/pieces/passwordRule'
import { compact, mobileOf } from '@/pieces/typing'
import { texts } from '@/texts'
import { isTail } from '../sign-in/secondProof'

type Field = 'phone' | 'sms_code' | 'name' | 'id_number_tail' | 'new_password'

const words = texts.signIn

/** The new phone becomes that of the account. */
export function useCompletion(done: () => Promise<void>) {
  const phone = ref('')
  const code = ref('')
  const challengeId = ref('')
  const name = ref('')
  const tail = ref('')
  const password = ref('')
  const faults = shallowRef<Partial<Record<Field, string>>>({})
  const submission = useSubmission()

  watch([phone, code, name, tail, password], () => (faults.value = {}))

  function check(): boolean {
    const found: Partial<Record<Field, string>> = {}
    if (mobileOf(phone.value) === '') found.phone = words.phoneFormat
    else if (challengeId.value === '') found.sms_code = words.codeFirst
    else if (code.value.length !== 6) found.sms_code = words.codeMissing
    if (name.value.trim() === '') found.name = words.proof.nameMissing
    if (!isTail(tail.value)) found.id_number_tail = words.proof.tailFormat
    if (!isGood(judge(password.value, phone.value, ''))) {
      found.new_password = texts.pieces.password.placeholder
    }
    faults.value = found
    return Object.keys(found).length === 0
  }

  async function submit(): Promise<void> {
    if (!check()) return
    const answer = await submission.run(() =>
      clientOf(PhoneRecoveryService).completePhoneRecovery({
        phone: mobileOf(phone.value),
        smsChallengeId: challengeId.value,
        smsCode: code.value,
        name: name.value.trim(),
        idNumberTail: compact(tail.value).toUpperCase(),
        newPassword: password.value,
      }),
    )
    if (answer !== undefined) await done()
  }

  function errorOf(field: Field): string | undefined {
    const reasons = field === 'sms_code' ? CODE_REASONS : []
    return faults.value[field] ?? submission.faultOf(field, ...reasons)
  }

  return { phone, code, challengeId, name, tail, password, faults, submission, submit, errorOf }
}
