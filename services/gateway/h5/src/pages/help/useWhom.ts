import { computed, ref, shallowRef, watch } from 'vue'

import { failureOf, type Failure } from '@/api/failure'
import { signedIn } from '@/api/session'
import { clientOf } from '@/api/transport'
import { loadDraft } from '@/draft'
import { ProfileService } from '@/gen/zhiyuan/registration/v1/profile_pb'
import { OrganizationState, type Organization } from '@/gen/zhiyuan/orgtree/v1/organization_pb'
import { asked, hasContacts, province, upwards } from '@/pieces/contacts'

/** What was chosen last, as long as the pages are open. */
let chosenLast = ''

/** Whom somebody asks: on the way up from an organization, and at the province. */
export function useWhom(given: string) {
  const code = ref('')
  const way = shallowRef<Organization[]>([])
  const technical = shallowRef<Organization>()
  const loading = ref(false)
  const failure = shallowRef<Failure>()
  let round = 0

  const nearest = computed(() => asked(way.value))
  /** Those above who can be asked too. */
  const others = computed(() =>
    way.value.filter((organization) => organization !== nearest.value && hasContacts(organization)),
  )
  const first = computed(() => way.value[0])
  const closed = computed(() => first.value?.state === OrganizationState.CLOSED)

  async function load(): Promise<void> {
    const mine = (round += 1)
    loading.value = true
    failure.value = undefined
    try {
      const [found, root] = await Promise.all([upwards(code.value), province()])
      if (mine !== round) return
      way.value = found
      technical.value = root
    } catch (thrown) {
      if (mine === round) failure.value = failureOf(thrown)
    } finally {
      if (mine === round) loading.value = false
    }
  }

  async function start(): Promise<void> {
    const before = code.value
    const known = given || chosenLast || ofDraft() || (await ofProfile())
    // Somebody may have chosen meanwhile.
    if (code.value !== before) return
    if (known === '') await load()
    else code.value = known
  }

  watch(code, (now) => {
    chosenLast = now
    void load()
  })

  return { code, technical, nearest, others, first, closed, loading, failure, load, start }
}

function ofDraft(): string {
  return loadDraft<{ organizationCode?: string }>()?.form.organizationCode ?? ''
}

async function ofProfile(): Promise<string> {
  if (!signedIn.value) return ''
  try {
    return (await clientOf(ProfileService).getMyProfile({})).profile?.organizationCode ?? ''
  } catch {
    // It is chosen by hand then.
    return ''
  }
}
