import { signedIn } from '@/api/session'
import { clientOf } from '@/api/transport'
import { ProfileService } from '@/gen/zhiyuan/registration/v1/profile_pb'
import { organizationsBelow } from '@/pieces/organizations'

/** The organization whose people somebody reads along with: the own one, else the topmost. */
export async function readersOrganization(): Promise<string> {
  if (signedIn.value) {
    try {
      const { profile } = await clientOf(ProfileService).getMyProfile({})
      if (profile?.organizationCode) return profile.organizationCode
    } catch {
      // What is published above all is for everybody.
    }
  }
  return (await organizationsBelow('', '')).items[0]?.code ?? ''
}
