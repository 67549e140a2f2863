import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createApp } from 'vue'

import { pauseUntil, usePolling } from './usePolling'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

function asked(ask: () => Promise<number | undefined>) {
  let now: () => Promise<void> = async () => undefined
  const app = createApp({
    setup() {
      now = usePolling(ask).now
      return () => null
    },
  })
  app.mount(document.createElement('div'))
  return { now: () => now(), leave: () => app.unmount() }
}

function hide(hidden: boolean): void {
  vi.spyOn(document, 'hidden', 'get').mockReturnValue(hidden)
  document.dispatchEvent(new Event('visibilitychange'))
}

test('waits as long as it is told, within reason', () => {
  expect(pauseUntil(1000, 0)).toBe(3000)
  expect(pauseUntil(20_000, 0)).toBe(20_000)
  expect(pauseUntil(7 * 86_400_000, 0)).toBe(60_000)
})

test('asks until there is an answer', async () => {
  const ask = vi.fn(async () => (ask.mock.calls.length < 3 ? Date.now() : undefined))
  const page = asked(ask)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(ask).toHaveBeenCalledTimes(3)
  page.leave()
})

test('asks nothing while the page is hidden or left', async () => {
  const ask = vi.fn(async () => Date.now())
  const page = asked(ask)
  await vi.advanceTimersByTimeAsync(0)
  hide(true)
  await vi.advanceTimersByTimeAsync(600_000)
  expect(ask).toHaveBeenCalledTimes(1)
  hide(false)
  await vi.advanceTimersByTimeAsync(0)
  expect(ask).toHaveBeenCalledTimes(2)
  page.leave()
  await vi.advanceTimersByTimeAsync(600_000)
  expect(ask).toHaveBeenCalledTimes(2)
})

test('a tap while it asks does not ask twice', async () => {
  let answer: (next: number) => void = () => undefined
  const ask = vi.fn(() => new Promise<number>((resolve) => (answer = resolve)))
  const page = asked(ask)
  void page.now()
  expect(ask).toHaveBeenCalledTimes(1)
  answer(Date.now())
  page.leave()
})
