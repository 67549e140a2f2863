import { computed, ref, shallowRef } from 'vue'

import { failureOf, type Failure } from '@/api/failure'
import { useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import {
  ConsentService,
  type ConsentEntry,
  type ConsentState,
  type ConsentText,
} from '@/gen/zhiyuan/identity/v1/consent_pb'
import { usePages } from '@/pieces/pages'

/** A purpose: what is asked for, and where the person stands. */
export interface Standing {
  text: ConsentText
  state: ConsentState
  /** Whether what was agreed to is the text in force. */
  current: boolean
}

/** What the person agrees to. */
export function useConsents() {
  const client = clientOf(ConsentService)
  const list = shallowRef<Standing[]>([])
  const loading = ref(true)
  const failure = shallowRef<Failure>()
  const submission = useSubmission()
  /** Whether a choice met another one, and the list is shown anew. */
  const changed = ref(false)

  const history = usePages<ConsentEntry>(async (pageToken) => {
    const page = await client.listMyConsentEntries({ pageToken, pageSize: 20 })
    return { items: page.entries, nextPageToken: page.nextPageToken }
  })

  async function load(): Promise<void> {
    loading.value = true
    failure.value = undefined
    try {
      const [{ consentTexts }, { consents }] = await Promise.all([
        client.listConsentTexts({}),
        client.listMyConsents({}),
      ])
      list.value = consentTexts.flatMap((text) => {
        const state = consents.find(({ purpose }) => purpose === text.purpose)
        return state ? [{ text, state, current: state.version === text.version }] : []
      })
    } catch (thrown) {
      failure.value = failureOf(thrown)
    } finally {
      loading.value = false
    }
  }

  async function change(call: () => Promise<unknown>): Promise<boolean> {
    changed.value = false
    const done = (await submission.run(call)) !== undefined
    const reason = submission.failure.value?.reason ?? ''
    const met = ['CONSENT_CHANGED', 'CONSENT_OUTDATED'].includes(reason)
    if (done || met) {
      await load()
      void history.restart()
    }
    if (met) {
      submission.clear()
      changed.value = true
    }
    return done
  }

  const give = ({ text: { purpose, version }, state }: Standing) =>
    change(() => client.giveConsent({ consent: { purpose, version }, seenEntry: state.entry }))
  const withdraw = ({ text: { purpose } }: Standing) =>
    change(() => client.withdrawConsent({ purpose }))

  const loaded = computed(() => list.value.length > 0)
  return { list, loaded, loading, failure, load, history, submission, changed, give, withdraw }
}
