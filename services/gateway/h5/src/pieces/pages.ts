import { computed, ref, shallowRef, type ComputedRef, type Ref, type ShallowRef } from 'vue'

import { failureOf, type Failure } from '@/api/failure'

/** A list that comes in pages. */
export interface Pages<T> {
  items: ShallowRef<T[]>
  /** Whether the first page has come. */
  loaded: Ref<boolean>
  loading: Ref<boolean>
  failure: ShallowRef<Failure | undefined>
  more: ComputedRef<boolean>
  /** Begins anew; an answer to what was asked before counts no more. */
  restart: () => Promise<void>
  next: () => Promise<void>
}

/** Loads a list page by page. */
export function usePages<T>(
  load: (pageToken: string) => Promise<{ items: T[]; nextPageToken: string }>,
): Pages<T> {
  const items = shallowRef<T[]>([])
  const loaded = ref(false)
  const loading = ref(false)
  const failure = shallowRef<Failure>()
  const token = ref('')
  let round = 0

  async function next(): Promise<void> {
    const mine = round
    loading.value = true
    failure.value = undefined
    try {
      const page = await load(token.value)
      if (mine !== round) return
      items.value = [...items.value, ...page.items]
      token.value = page.nextPageToken
      loaded.value = true
    } catch (thrown) {
      if (mine === round) failure.value = failureOf(thrown)
    } finally {
      if (mine === round) loading.value = false
    }
  }

  return {
    items,
    loaded,
    loading,
    failure,
    more: computed(() => token.value !== ''),
    restart: () => {
      round += 1
      items.value = []
      token.value = ''
      loaded.value = false
      return next()
    },
    next: async () => {
      if (!loading.value) await next()
    },
  }
}
