import { ref, shallowRef } from 'vue'

import { failureOf, type Failure } from '@/api/failure'
import { clientOf } from '@/api/transport'
import { ProfileService, type Profile } from '@/gen/zhiyuan/registration/v1/profile_pb'

/** The own record, as it was read last. */
export function useProfile() {
  const profile = shallowRef<Profile>()
  const loading = ref(true)
  const failure = shallowRef<Failure>()

  async function load(): Promise<void> {
    loading.value = true
    failure.value = undefined
    try {
      profile.value = (await clientOf(ProfileService).getMyProfile({})).profile
    } catch (thrown) {
      failure.value = failureOf(thrown)
    } finally {
      loading.value = false
    }
  }

  return { profile, loading, failure, load }
}
