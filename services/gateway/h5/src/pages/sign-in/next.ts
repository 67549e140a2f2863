import type { Router } from 'vue-router'

/**
 * Where somebody goes after signing in: only to a page of this site, however the address was made
 * up by whoever sent the link.
 */
export function nextPath(
  asked: unknown,
  router: Pick<Router, 'resolve'>,
  fallback = '/me',
): string {
  // Browsers read `\` as `/`, and pass over line breaks and tabs.
  if (typeof asked !== 'string' || !/^\/(?![/\\])[^\\\p{Cc}]*$/u.test(asked)) return fallback
  if (new URL(asked, location.origin).origin !== location.origin) return fallback
  const { matched, path, fullPath } = router.resolve(asked)
  const known = matched.length > 0 && matched.every((record) => !record.path.includes('*'))
  return known && path !== '/sign-in' ? fullPath : fallback
}
