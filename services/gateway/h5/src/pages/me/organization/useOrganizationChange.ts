import { ref, shallowRef } from 'vue'

import { RequestId, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { ProfileService, type Membership } from '@/gen/zhiyuan/registration/v1/profile_pb'
import type { Organization } from '@/gen/zhiyuan/orgtree/v1/organization_pb'
import { organizationOf } from '@/pieces/organizations'
import { usePages } from '@/pieces/pages'
import { texts } from '@/texts'
import { useProfile } from '../useProfile'

const words = texts.me.organization

/** A membership with the name that people know the organization by. */
export interface NamedMembership extends Pick<Membership, 'joinTime' | 'leaveTime'> {
  code: string
  name: string
}

/** The organization of the caller: where, where before, and where from now on. */
export function useOrganizationChange() {
  const { profile, loading, failure, load } = useProfile()
  const code = ref('')
  const fault = ref<string>()
  const stale = ref(false)
  /** Who followed an organization that was chosen and is closed. */
  const successor = shallowRef<Organization>()
  const submission = useSubmission()
  const requestId = new RequestId()

  const history = usePages<NamedMembership>(async (pageToken) => {
    const page = await clientOf(ProfileService).listMyOrganizations({ pageToken, pageSize: 20 })
    return {
      items: await Promise.all(page.memberships.map(named)),
      nextPageToken: page.nextPageToken,
    }
  })

  async function submit(): Promise<boolean> {
    fault.value = undefined
    stale.value = false
    successor.value = undefined
    if (code.value === '') fault.value = words.missing
    else if (code.value === profile.value?.organizationCode) fault.value = words.same
    if (fault.value !== undefined) return false
    const body = { organizationCode: code.value, etag: profile.value?.etag ?? '' }
    const answer = await submission.run(() =>
      clientOf(ProfileService).changeMyOrganization({
        requestId: requestId.of(JSON.stringify(body)),
        ...body,
      }),
    )
    const refused = submission.failure.value
    if (answer !== undefined || refused?.certain) requestId.done()
    if (answer !== undefined) {
      profile.value = answer.profile
      code.value = ''
      void history.restart()
      return true
    }
    if (refused?.reason === 'ETAG_STALE') {
      await load()
      if (failure.value === undefined) {
        submission.clear()
        stale.value = true
      }
    }
    const follows = refused?.metadata['successor_code']
    if (follows) successor.value = await organizationOf(follows).catch(() => undefined)
    return false
  }

  function follow(): void {
    code.value = successor.value?.code ?? code.value
    successor.value = undefined
    submission.clear()
  }

  return {
    profile,
    loading,
    failure,
    load,
    code,
    fault,
    stale,
    successor,
    submission,
    history,
    submit,
    follow,
  }
}

async function named({
  organizationCode,
  joinTime,
  leaveTime,
}: Membership): Promise<NamedMembership> {
  const found = await organizationOf(organizationCode).catch(() => undefined)
  return { code: organizationCode, name: found?.name ?? organizationCode, joinTime, leaveTime }
}
