import { onMounted, onScopeDispose, reactive, ref, shallowRef, watch } from 'vue'

import { serverNow } from '@/api/clock'
import { clearDraft, loadDraft, saveDraft } from '@/draft'
import type { Attempt } from './attempt'
import { emptyForm } from './form'
import { formOf, keptOf, type KeptForm } from './keeping'

/** A pause of typing after which the form is kept, in milliseconds. */
const PAUSE = 400

/**
 * The form, kept while it is filled in; as it was left, if that is wanted: what is kept may be that
 * of somebody else than who activates.
 */
export function useDraft(restore: boolean) {
  const kept = restore ? loadDraft<Partial<KeptForm>>() : undefined
  const form = reactive(kept ? formOf(kept, serverNow()) : emptyForm())
  const open = shallowRef<Attempt | undefined>(
    kept?.requestId ? { requestId: kept.requestId, body: undefined } : undefined,
  )
  const restored = ref(kept !== undefined)

  let finished = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let dirty = false

  function save(): void {
    clearTimeout(timer)
    if (!dirty || finished) return
    dirty = false
    saveDraft({ form: keptOf(form), requestId: open.value?.requestId })
  }

  watch(form, () => {
    dirty = isFilled()
    if (!dirty && !finished) clearDraft()
    clearTimeout(timer)
    timer = setTimeout(save, PAUSE)
  })
  // What is sent is known before it goes.
  watch(
    open,
    () => {
      dirty = true
      save()
    },
    { flush: 'sync' },
  )

  function isFilled(): boolean {
    return JSON.stringify(keptOf(form)) !== JSON.stringify(keptOf(emptyForm()))
  }

  // Whoever looks at another app may find the page loaded anew.
  onMounted(() => {
    document.addEventListener('visibilitychange', save)
    window.addEventListener('pagehide', save)
  })
  onScopeDispose(() => {
    save()
    document.removeEventListener('visibilitychange', save)
    window.removeEventListener('pagehide', save)
  })

  return {
    form,
    open,
    restored,
    /** Nothing is kept from here on. */
    finish: () => {
      finished = true
      clearTimeout(timer)
    },
  }
}
