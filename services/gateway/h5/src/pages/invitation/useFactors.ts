import { ref, shallowRef, watch } from 'vue'

import { failureOf, type Failure } from '@/api/failure'
import { begun, deviceToken, signedIn } from '@/api/session'
import { CODE_REASONS, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { SessionService, type Session } from '@/gen/zhiyuan/identity/v1/session_pb'
import { SignInService } from '@/gen/zhiyuan/identity/v1/sign_in_pb'
import { compact, mobileOf } from '@/pieces/typing'
import { texts } from '@/texts'
import { clientName } from '../sign-in/clientName'
import { isTail } from '../sign-in/secondProof'

type Field = 'identifier' | 'password' | 'sms_code' | 'name' | 'id_number_tail'

const words = texts.invitation.factors
const sessions = clientOf(SessionService)

/** Whether the session has both factors, and beginning one that has. */
export function useFactors() {
  const both = ref(false)
  const loading = ref(true)
  const failure = shallowRef<Failure>()
  /** Whether both were given and don't count, as the phone was given lately. */
  const notCounted = ref(false)
  let before: Session | undefined

  const phone = ref('')
  const password = ref('')
  const code = ref('')
  const challengeId = ref('')
  const name = ref('')
  const tail = ref('')
  const proof = ref(false)
  const faults = shallowRef<Partial<Record<Field, string>>>({})
  const submission = useSubmission()

  watch(phone, () => (proof.value = false))
  watch([phone, password, code, name, tail], () => (faults.value = {}))

  async function load(): Promise<void> {
    loading.value = true
    failure.value = undefined
    both.value = false
    try {
      if (signedIn.value) {
        before = (await sessions.listSessions({})).sessions.find(({ current }) => current)
        both.value = before?.secondFactor ?? false
      }
    } catch (thrown) {
      // Whoever is signed in no more signs in here.
      if (signedIn.value) failure.value = failureOf(thrown)
    } finally {
      loading.value = false
    }
  }

  function check(): boolean {
    const found: Partial<Record<Field, string>> = {}
    if (mobileOf(phone.value) === '') found.identifier = words.phoneFormat
    else if (challengeId.value === '') found.sms_code = texts.signIn.codeFirst
    else if (code.value.length !== 6) found.sms_code = texts.signIn.codeMissing
    if (password.value === '') found.password = words.passwordMissing
    if (proof.value && name.value.trim() === '') found.name = texts.signIn.proof.nameMissing
    if (proof.value && !isTail(tail.value)) found.id_number_tail = texts.signIn.proof.tailFormat
    faults.value = found
    return Object.keys(found).length === 0
  }

  async function submit(): Promise<void> {
    if (!check()) return
    const replaced = signedIn.value ? before?.id : undefined
    const answer = await submission.run((solution) =>
      clientOf(SignInService).signIn({
        identifier: mobileOf(phone.value),
        password: password.value,
        smsChallengeId: challengeId.value,
        smsCode: code.value,
        ...(proof.value ? { name: name.value.trim(), idNumberTail: compact(tail.value) } : {}),
        deviceToken: deviceToken(),
        clientName: clientName(navigator.userAgent),
        ...(solution === undefined ? {} : { solution }),
      }),
    )
    if (answer === undefined) {
      if (submission.failure.value?.reason === 'SECOND_PROOF_REQUIRED') proof.value = true
      return
    }
    password.value = ''
    code.value = ''
    begun(answer.deviceToken)
    // It was that of this device, which has another one now; somebody else's stays.
    if (replaced) void sessions.endSession({ sessionId: replaced }).catch(() => undefined)
    await load()
    notCounted.value = !both.value && failure.value === undefined
  }

  function errorOf(field: Field): string | undefined {
    const reasons = field === 'sms_code' ? CODE_REASONS : []
    return faults.value[field] ?? submission.faultOf(field, ...reasons)
  }

  return {
    both,
    loading,
    failure,
    notCounted,
    load,
    phone,
    password,
    code,
    challengeId,
    name,
    tail,
    proof,
    faults,
    submission,
    submit,
    errorOf,
  }
}
