import { onScopeDispose, watch, type Ref } from 'vue'

/** What lies over the page, the topmost last. */
const open: (() => void)[] = []

window.addEventListener('popstate', () => open.pop()?.())

/**
 * Lets the back button of the phone close what lies over the page, instead of leaving the page.
 * The answer waits until the entry in the history is gone too: only then may a link be followed.
 */
export function useBackCloses(shown: Ref<boolean>): { closed: () => Promise<void> } {
  let entered = false
  let waiting: (() => void)[] = []

  function popped(): void {
    entered = false
    shown.value = false
    waiting.forEach((tell) => tell())
    waiting = []
  }

  watch(shown, (now) => {
    if (now && !entered) {
      history.pushState({ ...history.state, over: open.length + 1 }, '')
      entered = true
      open.push(popped)
    } else if (!now && entered) {
      history.back()
    }
  })
  onScopeDispose(() => {
    const place = open.indexOf(popped)
    if (place >= 0) open.splice(place, 1)
  })

  return {
    closed: () => {
      if (!entered) return Promise.resolve()
      const gone = new Promise<void>((resolve) => waiting.push(resolve))
      shown.value = false
      return gone
    },
  }
}
