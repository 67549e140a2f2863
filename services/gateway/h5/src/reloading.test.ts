import { beforeEach, expect, test, vi } from 'vitest'

import { mayReload } from './reloading'

beforeEach(() => sessionStorage.clear())

test('a page loads itself anew once a minute', () => {
  expect(mayReload(1_000_000)).toBe(true)
  expect(mayReload(1_059_000)).toBe(false)
  // A clock that was set back says nothing of how long ago it was.
  expect(mayReload(990_000)).toBe(false)
  expect(mayReload(1_061_000)).toBe(true)
})

test('where nothing can be kept it never does, instead of for ever', () => {
  const setItem = () => {
    throw new DOMException('denied', 'QuotaExceededError')
  }
  vi.stubGlobal('sessionStorage', { getItem: () => null, setItem })
  expect(mayReload()).toBe(false)
  vi.unstubAllGlobals()
})
