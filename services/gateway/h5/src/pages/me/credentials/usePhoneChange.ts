import { ref, shallowRef, watch } from 'vue'

import { useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { CredentialService } from '@/gen/zhiyuan/identity/v1/credential_pb'
import { maskedMobile, mobileOf } from '@/pieces/typing'
import { texts } from '@/texts'

type Field = 'current_phone' | 'current_code' | 'new_phone' | 'new_code'

const words = texts.me.phone

/** A phone of the account in place of another: both get a code. */
export function usePhoneChange(masked: () => string) {
  const current = ref('')
  const currentCode = ref('')
  const currentChallenge = ref('')
  const next = ref('')
  const nextCode = ref('')
  const nextChallenge = ref('')
  const faults = shallowRef<Partial<Record<Field, string>>>({})
  const submission = useSubmission()

  watch([current, currentCode, next, nextCode], () => (faults.value = {}))

  function check(): boolean {
    const found: Partial<Record<Field, string>> = {}
    const [from, to] = [mobileOf(current.value), mobileOf(next.value)]
    if (from === '') found.current_phone = words.format
    else if (masked() !== '' && maskedMobile(from) !== masked()) {
      found.current_phone = words.other(masked())
    } else if (currentChallenge.value === '') found.current_code = words.codeFirst
    else if (currentCode.value.length !== 6) found.current_code = words.codeMissing
    if (to === '') found.new_phone = words.format
    else if (to === from) found.new_phone = words.same
    else if (nextChallenge.value === '') found.new_code = words.codeFirst
    else if (nextCode.value.length !== 6) found.new_code = words.codeMissing
    faults.value = found
    return Object.keys(found).length === 0
  }

  async function submit(): Promise<boolean> {
    if (!check()) return false
    const answer = await submission.run(() =>
      clientOf(CredentialService).changePhone({
        newPhone: mobileOf(next.value),
        currentProof: { smsChallengeId: currentChallenge.value, smsCode: currentCode.value },
        newProof: { smsChallengeId: nextChallenge.value, smsCode: nextCode.value },
      }),
    )
    return answer !== undefined
  }

  function errorOf(field: Field): string | undefined {
    const names: Record<Field, string> = {
      current_phone: 'current_phone',
      current_code: 'current_proof.sms_code',
      new_phone: 'new_phone',
      new_code: 'new_proof.sms_code',
    }
    return faults.value[field] ?? submission.faultOf(names[field])
  }

  return {
    current,
    currentCode,
    currentChallenge,
    next,
    nextCode,
    nextChallenge,
    faults,
    submission,
    submit,
    errorOf,
  }
}
