import { forget, keep, kept } from '@/api/kept'

/*
 * The one thing with personal data that is kept on the device: what somebody has filled in of the
 * form, so that a reload or a look at another app costs nothing. Never the password, never a code.
 * It goes with success, or after a day.
 */

const KEY = 'zhiyuan.register-draft'
/** Of what is kept; another version is thrown away. */
const VERSION = 1
const DAY = 24 * 3_600_000

/** What is kept of a form. */
export interface Draft<T> {
  form: T
  /** Of what was sent without a certain answer. */
  requestId?: string | undefined
}

interface Kept<T> extends Draft<T> {
  version: number
  savedAt: number
}

/** What is kept, if it is not too old. */
export function loadDraft<T>(now = Date.now()): Draft<T> | undefined {
  const found = read<T>()
  if (found === undefined) return undefined
  const age = now - found.savedAt
  if (found.version !== VERSION || !(age >= -DAY && age < DAY)) {
    clearDraft()
    return undefined
  }
  return { form: found.form, requestId: found.requestId }
}

/** Keeps a form; what can't be kept is only not there after a reload. */
export function saveDraft<T>({ form, requestId }: Draft<T>, now = Date.now()): void {
  const whole: Kept<T> = { version: VERSION, savedAt: now, form, requestId }
  keep(KEY, JSON.stringify(whole))
}

/** Forgets it. */
export function clearDraft(): void {
  forget(KEY)
}

/** Forgets one that is too old, at every start of the pages. */
export function forgetOldDraft(now = Date.now()): void {
  loadDraft(now)
}

function read<T>(): Kept<T> | undefined {
  const text = kept(KEY)
  if (text === null) return undefined
  try {
    const read = JSON.parse(text) as Kept<T>
    if (typeof read === 'object' && read !== null && typeof read.form === 'object') return read
  } catch {
    // Not ours.
  }
  clearDraft()
  return undefined
}
