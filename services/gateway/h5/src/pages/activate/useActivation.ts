import { ref, shallowRef, watch } from 'vue'

import { deviceToken } from '@/api/session'
import { CODE_REASONS, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import {
  ActivationService,
  type CompleteActivationResponse,
} from '@/gen/zhiyuan/identity/v1/activation_pb'
import { compact, mobileOf } from '@/pieces/typing'
import type { SendCode } from '@/pieces/useSmsCode'
import { texts } from '@/texts'
import { isDefaultPassword } from '../sign-in/secondProof'

type Field = 'phone' | 'sms_code' | 'default_password'

const words = texts.activate

/** From the phone on a roster and the default password to a proof to register with. */
export function useActivation(done: (answer: CompleteActivationResponse) => void) {
  const phone = ref('')
  const code = ref('')
  const challengeId = ref('')
  const password = ref('')
  const faults = shallowRef<Partial<Record<Field, string>>>({})
  const submission = useSubmission()

  watch([phone, code, password], () => (faults.value = {}))

  const send: SendCode = (solution) =>
    clientOf(ActivationService).startActivation({
      phone: mobileOf(phone.value),
      deviceToken: deviceToken(),
      ...(solution === undefined ? {} : { solution }),
    })

  function check(): boolean {
    const found: Partial<Record<Field, string>> = {}
    if (mobileOf(phone.value) === '') found.phone = words.phoneFormat
    else if (challengeId.value === '') found.sms_code = words.codeFirst
    else if (code.value.length !== 6) found.sms_code = words.codeMissing
    if (!isDefaultPassword(password.value)) found.default_password = words.passwordFormat
    faults.value = found
    return Object.keys(found).length === 0
  }

  async function submit(): Promise<void> {
    if (!check()) return
    const answer = await submission.run(() =>
      clientOf(ActivationService).completeActivation({
        smsChallengeId: challengeId.value,
        smsCode: code.value,
        defaultPassword: compact(password.value),
      }),
    )
    if (answer !== undefined) done(answer)
  }

  function errorOf(field: Field): string | undefined {
    const reasons = {
      phone: [],
      sms_code: CODE_REASONS,
      default_password: ['DEFAULT_PASSWORD_WRONG'],
    }
    return faults.value[field] ?? submission.faultOf(field, ...reasons[field])
  }

  return { phone, code, challengeId, password, faults, submission, send, submit, errorOf }
}
