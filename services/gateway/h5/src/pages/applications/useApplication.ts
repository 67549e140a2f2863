import { computed, ref, shallowRef } from 'vue'

import { failureOf, type Failure } from '@/api/failure'
import { RequestId, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import {
  ApplicationState,
  OrganizationApplicationService,
  type OrganizationApplication,
} from '@/gen/zhiyuan/orgtree/v1/organization_application_pb'
import { organizationOf } from '@/pieces/organizations'
import { regionName } from '@/pieces/regions'

const applications = clientOf(OrganizationApplicationService)

/** An application of the caller, and taking it back. */
export function useApplication(applicationId: string) {
  const application = shallowRef<OrganizationApplication>()
  const superior = ref('')
  const region = ref('')
  const loading = ref(false)
  const failure = shallowRef<Failure>()
  const withdrawal = useSubmission()
  const requestId = new RequestId()

  const open = computed(() => {
    const { state } = application.value ?? {}
    return state === ApplicationState.SUBMITTED || state === ApplicationState.RETURNED
  })

  async function load(): Promise<void> {
    loading.value = true
    failure.value = undefined
    try {
      const { application: found } = await applications.getMyApplication({ applicationId })
      application.value = found
      await name(found)
    } catch (thrown) {
      failure.value = failureOf(thrown)
    } finally {
      loading.value = false
    }
  }

  async function name(found: OrganizationApplication | undefined): Promise<void> {
    const { superiorCode = '', details } = found ?? {}
    superior.value ||= superiorCode
    const [above, place] = await Promise.all([
      organizationOf(superiorCode).catch(() => undefined),
      regionName(details?.regionCode ?? '').catch(() => details?.regionCode),
    ])
    superior.value = above?.name ?? superiorCode
    region.value = place ?? ''
  }

  async function withdraw(): Promise<boolean> {
    const answer = await withdrawal.run(() =>
      applications.withdrawApplication({ requestId: requestId.of(applicationId), applicationId }),
    )
    const refused = withdrawal.failure.value
    if (answer !== undefined || refused?.certain) requestId.done()
    if (answer !== undefined || refused?.reason === 'APPLICATION_ENDED') await load()
    return answer !== undefined
  }

  return { application, superior, region, loading, failure, open, withdrawal, load, withdraw }
}
