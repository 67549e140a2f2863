import { shallowRef, watch } from 'vue'

import type { Failure } from '@/api/failure'
import { regionService } from '@/api/services'
import { clientOf } from '@/api/transport'
import { organizationOf } from '@/pieces/organizations'
import type { RegisterForm } from './form'

/** Something that can be chosen instead. */
export interface Successor {
  code: string
  name: string
}

/** What is there instead of a region or an organization that is no more. */
export function usePlaceSuccessors(form: RegisterForm) {
  const organization = shallowRef<Successor>()
  const regions = shallowRef<Successor[]>([])

  watch(
    () => form.organizationCode,
    () => (organization.value = undefined),
  )
  watch(
    () => form.regionCode,
    () => (regions.value = []),
  )

  async function look(failure: Failure): Promise<void> {
    try {
      const code = failure.metadata['successor_code']
      if (failure.reason === 'ORGANIZATION_CLOSED' && code) {
        organization.value = { code, name: (await organizationOf(code))?.name ?? code }
      }
      if (failure.fields['region_code'] !== undefined && form.regionCode !== '') {
        const { region } = await clientOf(regionService).getRegion({ code: form.regionCode })
        if (region?.abolished) regions.value = region.successors
      }
    } catch {
      // The field says what is wrong; another choice is made by hand.
    }
  }

  return { organization, regions, look }
}
