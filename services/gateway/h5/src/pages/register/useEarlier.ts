import { onMounted, ref, type ShallowRef } from 'vue'
import { useRouter } from 'vue-router'

import { failureOf, type Failure } from '@/api/failure'
import { registrationService } from '@/api/services'
import { clientOf } from '@/api/transport'
import type { Attempt } from './attempt'
import type { RegisterForm } from './form'
import { settle, show } from './settle'

/** What is known of a form that was sent before the page was loaded anew. */
export type Earlier = 'none' | 'checking' | 'failed' | 'unknown'

/** Asks, before anything is filled in again, what became of a form whose answer was lost. */
export function useEarlier(
  open: ShallowRef<Attempt | undefined>,
  form: RegisterForm,
  refused: (failure: Failure) => Promise<void>,
  finish: () => void,
) {
  const router = useRouter()
  const earlier = ref<Earlier>(open.value === undefined ? 'none' : 'checking')

  async function look(): Promise<void> {
    const requestId = open.value?.requestId
    if (requestId === undefined) return
    earlier.value = 'checking'
    try {
      const answer = await clientOf(registrationService).getRegistration({ requestId })
      finish()
      const { organizationCode } = form
      const claim = form.claimStatement !== ''
      const where = settle(
        { ...answer, requestId },
        { claim, organizationCode, credentials: undefined },
      )
      await show(router, where)
    } catch (thrown) {
      const failure = failureOf(thrown)
      if (!failure.certain) {
        earlier.value = 'failed'
      } else if (failure.reason === 'REGISTRATION_NOT_FOUND') {
        // It may still be on its way: the id stays.
        earlier.value = 'unknown'
      } else {
        open.value = undefined
        earlier.value = 'none'
        await refused(failure)
      }
    }
  }

  onMounted(look)
  return { earlier, look }
}
