import { computed, reactive, ref, watch } from 'vue'

import { RequestId, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { ProfileService, type Profile } from '@/gen/zhiyuan/registration/v1/profile_pb'
import { useProfile } from '../useProfile'
import { detailsOf, PATHS, stated, type Chapter, type Details } from './chapters'

/** A chapter of the record, from reading to saving. */
export function useChapter(chapter: Chapter) {
  const { profile, loading, failure, load } = useProfile()
  const details = reactive<Details>({
    regionCode: '',
    leagueMember: false,
    politicalStatus: undefined,
    education: undefined,
    employment: undefined,
    skills: [],
    serviceCategories: [],
  })
  /** Whether the record was changed elsewhere, and is shown anew. */
  const stale = ref(false)
  const submission = useSubmission()
  const requestId = new RequestId()

  watch(profile, (now) => now && Object.assign(details, detailsOf(now)))

  const changed = computed(
    () =>
      profile.value !== undefined &&
      JSON.stringify(sorted(details)) !== JSON.stringify(sorted(detailsOf(profile.value))),
  )

  async function save(): Promise<Profile | undefined> {
    const { etag } = profile.value ?? { etag: '' }
    const body = { etag, updateMask: { paths: PATHS[chapter] }, details: stated(details) }
    stale.value = false
    const answer = await submission.run(() =>
      clientOf(ProfileService).updateMyProfile({
        requestId: requestId.of(JSON.stringify(body)),
        ...body,
      }),
    )
    const refused = submission.failure.value
    if (answer !== undefined || refused?.certain) requestId.done()
    if (refused?.reason === 'ETAG_STALE') {
      await load()
      if (failure.value === undefined) {
        submission.clear()
        stale.value = true
      }
    }
    return answer?.profile
  }

  return { profile, loading, failure, load, details, stale, changed, submission, save }
}

function sorted(details: Details): Details {
  const { skills, serviceCategories } = details
  return {
    ...details,
    skills: [...skills].sort((one, other) => one - other),
    serviceCategories: [...serviceCategories].sort((one, other) => one - other),
  }
}
