import { ref, shallowRef, watch } from 'vue'

import { deviceToken } from '@/api/session'
import { CODE_REASONS, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { CredentialService } from '@/gen/zhiyuan/identity/v1/credential_pb'
import { isGood, judge } from '@/pieces/passwordRule'
import { compact, mobileOf } from '@/pieces/typing'
import { texts } from '@/texts'
import { isTail } from '../sign-in/secondProof'

type Field = 'phone' | 'sms_code' | 'new_password' | 'name' | 'id_number_tail'

const words = texts.signIn

/** From a code to a new password. */
export function useReset(done: () => Promise<void>) {
  const phone = ref('')
  const code = ref('')
  const challengeId = ref('')
  const password = ref('')
  const name = ref('')
  const tail = ref('')
  /** Whether the suite wants to know more than the code. */
  const proof = ref(false)
  const faults = shallowRef<Partial<Record<Field, string>>>({})
  const submission = useSubmission()

  watch(phone, () => (proof.value = false))
  watch([phone, code, password, name, tail], () => (faults.value = {}))

  function check(): boolean {
    const found: Partial<Record<Field, string>> = {}
    if (mobileOf(phone.value) === '') found.phone = words.phoneFormat
    else if (challengeId.value === '') found.sms_code = words.codeFirst
    else if (code.value.length !== 6) found.sms_code = words.codeMissing
    if (!isGood(judge(password.value, phone.value, ''))) {
      found.new_password = texts.pieces.password.placeholder
    }
    if (proof.value && name.value.trim() === '') found.name = words.proof.nameMissing
    if (proof.value && !isTail(tail.value)) found.id_number_tail = words.proof.tailFormat
    faults.value = found
    return Object.keys(found).length === 0
  }

  async function submit(): Promise<void> {
    if (!check()) return
    const answer = await submission.run(() =>
      clientOf(CredentialService).resetPassword({
        phone: mobileOf(phone.value),
        smsChallengeId: challengeId.value,
        smsCode: code.value,
        newPassword: password.value,
        ...(proof.value ? { name: name.value.trim(), idNumberTail: compact(tail.value) } : {}),
        deviceToken: deviceToken(),
      }),
    )
    if (answer !== undefined) return await done()
    if (submission.failure.value?.reason === 'SECOND_PROOF_REQUIRED') proof.value = true
  }

  function errorOf(field: Field): string | undefined {
    return (
      faults.value[field] ??
      submission.faultOf(field, ...(field === 'sms_code' ? CODE_REASONS : []))
    )
  }

  return {
    phone,
    code,
    challengeId,
    password,
    name,
    tail,
    proof,
    faults,
    submission,
    submit,
    errorOf,
  }
}
