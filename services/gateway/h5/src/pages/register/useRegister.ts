import { computed, nextTick, reactive, ref, shallowRef, watch } from 'vue'
import { useRouter } from 'vue-router'

import { serverNow } from '@/api/clock'
import { failureOf, type Failure } from '@/api/failure'
import { makeRequestId } from '@/api/requestId'
import { registrationService } from '@/api/services'
import { clientOf } from '@/api/transport'
import { clearDraft } from '@/draft'
import { mobileOf } from '@/pieces/typing'
import { currentActivation, endActivation } from './activation'
import { sendOnce } from './attempt'
import { check, idNumberFault, type Faults } from './checks'
import { bodyOf, emptyForm } from './form'
import { classOf, readIdNumber, shanghaiDay } from './idNumber'
import { settle, show, type Answer } from './settle'
import { tell } from './refusal'
import { useDraft } from './useDraft'
import { usePlaceSuccessors } from './usePlaceSuccessors'

/** What the page knows of its list of consents. */
export interface Consents {
  reload: () => Promise<void>
  complete: () => boolean
}

/** The form: what is in it, what is wrong with it, and how it is sent. */
export function useRegister(consents: () => Consents | null) {
  const router = useRouter()
  const registrations = clientOf(registrationService)

  const activation = shallowRef(currentActivation())
  const { form, open, restored, finish } = useDraft(activation.value === undefined)
  const faults = reactive<Faults>({})
  const whole = shallowRef<Failure>()
  const submitting = ref(false)
  const claiming = ref(false)
  /** The suite wants a guardian of whose age nothing is known here. */
  const guardianWanted = ref(false)
  const today = shanghaiDay(serverNow())
  const successors = usePlaceSuccessors(form)

  const idNumber = computed(() => readIdNumber(form.idNumber, today))
  const ageClass = computed(() => {
    const { fault, age } = idNumber.value
    return fault === undefined && age !== undefined ? classOf(age) : undefined
  })
  const mayHaveIncome = computed(
    () =>
      ageClass.value === 'workingAge' || (activation.value !== undefined && guardianWanted.value),
  )
  const guardian = computed(() => {
    const { value } = ageClass
    if (mayHaveIncome.value && form.ownIncome) return false
    return guardianWanted.value || value === 'minor' || value === 'workingAge'
  })

  /** Whether all has been typed, so that it can be judged. */
  const idNumberTyped = ref(false)
  const idNumberNote = computed(() => {
    const judged = idNumberTyped.value || idNumber.value.text.length >= 18
    return judged && form.idNumber !== '' ? idNumberFault(form.idNumber, today) : ''
  })

  const fields: Record<string, () => unknown> = {
    name: () => form.name,
    id_number: () => form.idNumber,
    region_code: () => form.regionCode,
    organization_code: () => form.organizationCode,
    phone: () => form.phone,
    sms_code: () => form.smsCode + form.smsChallengeId,
    password: () => form.password,
    consents: () => form.consents,
    claim_statement: () => form.claimStatement,
    'guardian.name': () => form.guardian.name,
    'guardian.id_number': () => form.guardian.idNumber,
    'guardian.relation': () => form.guardian.relation,
    'guardian.phone': () => form.guardian.phone,
    'guardian.sms_code': () => form.guardian.smsCode + form.guardian.smsChallengeId,
  }
  for (const [field, value] of Object.entries(fields)) watch(value, () => delete faults[field])
  // The two are judged together: a corrected name makes the number right too.
  watch([fields['name']!, fields['id_number']!], () => {
    delete faults['name']
    delete faults['id_number']
    guardianWanted.value = false
  })

  function showFaults(found: Faults): void {
    for (const field of Object.keys(faults)) delete faults[field]
    Object.assign(faults, found)
    void nextTick(() => {
      const first = document.querySelector('[data-wrong]')
      first?.scrollIntoView({ block: 'start', behavior: 'smooth' })
      first?.querySelector<HTMLElement>('input, button, textarea')?.focus({ preventScroll: true })
    })
  }

  async function fail(failure: Failure): Promise<void> {
    if (failure.reason === 'GUARDIAN_REQUIRED') guardianWanted.value = true
    // What was agreed to goes, and with it what is said of it: told afterwards.
    if (failure.reason === 'CONSENT_OUTDATED')
      await consents()
        ?.reload()
        .then(() => nextTick())
    if (failure.reason === 'ACTIVATION_PROOF_OVER') {
      endActivation()
      activation.value = undefined
    }
    void successors.look(failure)
    const told = tell(failure, activation.value !== undefined)
    whole.value = told.whole
    showFaults(told.faults)
    if (told.whole !== undefined && Object.keys(told.faults).length === 0) {
      void nextTick(() =>
        document
          .querySelector('[data-whole]')
          ?.scrollIntoView({ block: 'center', behavior: 'smooth' }),
      )
    }
  }

  async function submit(): Promise<void> {
    if (submitting.value) return
    whole.value = whole.value?.reason === 'ALREADY_REGISTERED' ? whole.value : undefined
    if (!claiming.value) form.claimStatement = ''
    const found = check(form, {
      today,
      activated: activation.value !== undefined,
      guardian: guardian.value,
      consentsComplete: consents()?.complete() ?? false,
      claiming: claiming.value,
    })
    showFaults(found)
    if (Object.keys(found).length > 0) return

    const activationProof = activation.value?.proof ?? ''
    const body = bodyOf(form, { guardian: guardian.value, activationProof })
    submitting.value = true
    try {
      // Loaded while the call is on its way.
      void import('./DonePage.vue').catch(() => undefined)
      const answer = await sendOnce<Answer>({
        open: open.value,
        body: JSON.stringify(body),
        person: body.idNumber || activationProof,
        makeId: makeRequestId,
        register: async (requestId) => ({
          requestId,
          ...(await registrations.register({ ...body, requestId })),
        }),
        get: async (requestId) => ({
          requestId,
          ...(await registrations.getRegistration({ requestId })),
        }),
        keep: (attempt) => (open.value = attempt),
      })
      finish()
      await show(
        router,
        settle(answer, {
          claim: claiming.value,
          organizationCode: form.organizationCode,
          credentials:
            activationProof === ''
              ? { identifier: mobileOf(form.phone), password: form.password }
              : undefined,
        }),
      )
    } catch (thrown) {
      await fail(failureOf(thrown))
    } finally {
      submitting.value = false
    }
  }

  function startOver(): void {
    clearDraft()
    endActivation()
    activation.value = undefined
    open.value = undefined
    whole.value = undefined
    claiming.value = false
    guardianWanted.value = false
    restored.value = false
    Object.assign(form, emptyForm())
    void nextTick(() => showFaults({}))
  }

  return {
    form,
    faults,
    whole,
    submitting,
    claiming,
    activation,
    ageClass,
    guardian,
    mayHaveIncome,
    idNumberNote,
    idNumberTyped,
    restored,
    open,
    successors,
    submit,
    startOver,
    fail,
    finish,
  }
}
