const RELOADED = 'zhiyuan.reloaded'
const ONCE_IN = 60_000

/**
 * Whether the page may load itself anew: once a minute, and never where it can't be kept that it
 * has, since it would do so for ever.
 */
export function mayReload(now = Date.now()): boolean {
  try {
    const last = Number(sessionStorage.getItem(RELOADED) ?? 0)
    if (Math.abs(now - last) < ONCE_IN) return false
    sessionStorage.setItem(RELOADED, String(now))
    return true
  } catch {
    return false
  }
}
