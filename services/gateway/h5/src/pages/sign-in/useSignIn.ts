import { computed, ref, shallowRef, watch } from 'vue'

import { begun, deviceToken } from '@/api/session'
import { CODE_REASONS, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { SignInService } from '@/gen/zhiyuan/identity/v1/sign_in_pb'
import { compact, mobileOf } from '@/pieces/typing'
import { texts } from '@/texts'
import { clientName } from './clientName'
import { isTail } from './secondProof'

export type Way = 'password' | 'code'
type Field = 'identifier' | 'password' | 'sms_code' | 'name' | 'id_number_tail'

const words = texts.signIn

/** From what somebody types to a session. */
export function useSignIn() {
  const way = ref<Way>('password')
  const identifier = ref('')
  const password = ref('')
  const code = ref('')
  const challengeId = ref('')
  const name = ref('')
  const tail = ref('')
  const faults = shallowRef<Partial<Record<Field, string>>>({})
  const submission = useSubmission()
  /** Whether the suite wants to know more than the code. */
  const proof = ref(false)

  watch(way, (now) => {
    faults.value = {}
    submission.clear()
    // Codes go to phones.
    if (now === 'code' && mobileOf(identifier.value) === '') identifier.value = ''
  })
  watch(identifier, () => (proof.value = false))

  function check(): boolean {
    const found: Partial<Record<Field, string>> = {}
    const phone = mobileOf(identifier.value)
    if (way.value === 'password') {
      const number = /^\d{17}[\dx]$/i.test(compact(identifier.value))
      if (phone === '' && !number) found.identifier = words.identifierFormat
      if (password.value === '') found.password = words.passwordPlaceholder
    } else {
      if (phone === '') found.identifier = words.phoneFormat
      else if (challengeId.value === '') found.sms_code = words.codeFirst
      else if (code.value.length !== 6) found.sms_code = words.codeMissing
      if (proof.value && name.value.trim() === '') found.name = words.proof.nameMissing
      if (proof.value && !isTail(tail.value)) found.id_number_tail = words.proof.tailFormat
    }
    faults.value = found
    return Object.keys(found).length === 0
  }

  async function submit(): Promise<void> {
    if (!check()) return
    const byCode = way.value === 'code'
    const answer = await submission.run((solution) =>
      clientOf(SignInService).signIn({
        identifier: mobileOf(identifier.value) || compact(identifier.value),
        ...(byCode
          ? { smsChallengeId: challengeId.value, smsCode: code.value }
          : { password: password.value }),
        ...(byCode && proof.value
          ? { name: name.value.trim(), idNumberTail: compact(tail.value) }
          : {}),
        deviceToken: deviceToken(),
        clientName: clientName(navigator.userAgent),
        ...(solution === undefined ? {} : { solution }),
      }),
    )
    if (answer !== undefined) return begun(answer.deviceToken)
    if (submission.failure.value?.reason === 'SECOND_PROOF_REQUIRED') proof.value = true
  }

  const told = (field: Field, ...reasons: string[]) =>
    computed(() => faults.value[field] ?? submission.faultOf(field, ...reasons))

  return {
    way,
    identifier,
    password,
    code,
    challengeId,
    name,
    tail,
    proof,
    faults,
    submission,
    submit,
    errors: {
      identifier: told('identifier'),
      password: told('password'),
      code: told('sms_code', ...CODE_REASONS),
      name: told('name'),
      tail: told('id_number_tail'),
    },
  }
}
