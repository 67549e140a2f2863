import { expect, test } from 'vitest'

import { FIRST_PAGES } from '../build/first-pages'
import { router } from './router'

test('each first part of an address has a page of its own in the build', () => {
  const parts = router.getRoutes().map(({ path }) => path.split('/')[1] ?? '')
  const known = Object.keys(FIRST_PAGES)
  const others = parts.filter((part) => !part.startsWith(':') && !known.includes(part))
  expect(new Set(others)).toEqual(new Set())
})
