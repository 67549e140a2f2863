/*
 * What stays on the device between visits. Where the browser keeps nothing (no storage, or none
 * left), it stays as long as the page.
 */

const meanwhile = new Map<string, string>()

/** What was kept under a name; `null` if nothing. */
export function kept(name: string): string | null {
  try {
    return localStorage.getItem(name) ?? meanwhile.get(name) ?? null
  } catch {
    return meanwhile.get(name) ?? null
  }
}

/** Keeps something under a name, in place of what was there. */
export function keep(name: string, value: string): void {
  meanwhile.delete(name)
  try {
    localStorage.setItem(name, value)
  } catch {
    meanwhile.set(name, value)
  }
}

/** Keeps it no more. */
export function forget(name: string): void {
  meanwhile.delete(name)
  try {
    localStorage.removeItem(name)
  } catch {
    // There is nothing.
  }
}
