import { Code, ConnectError } from '@connectrpc/connect'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { effectScope, type EffectScope } from 'vue'

import { ErrorInfoSchema, RetryInfoSchema } from '@/gen/google/rpc/error_details_pb'
import { refused } from './refused'
import { RequestId, useSubmission } from './submission'

let scope: EffectScope

beforeEach(() => {
  vi.useFakeTimers()
  scope = effectScope()
})
afterEach(() => {
  scope.stop()
  vi.useRealTimers()
})

const begun = () => scope.run(() => useSubmission()) ?? expect.fail()

function delayed(seconds: number) {
  const error = new ConnectError('', Code.ResourceExhausted, undefined, [
    { desc: ErrorInfoSchema, value: { reason: 'SIGN_IN_DELAYED', domain: 'identity.zhiyuan' } },
    { desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(seconds) } } },
  ])
  return refused(error)
}

test('a second tap does nothing while the first one is on its way', async () => {
  const { run, busy } = begun()
  const call = vi.fn(() => new Promise<number>((resolve) => setTimeout(() => resolve(1), 100)))
  const first = run(call)
  expect(busy.value).toBe(true)
  expect(await run(call)).toBeUndefined()
  await vi.advanceTimersByTimeAsync(100)
  expect(await first).toBe(1)
  expect(call).toHaveBeenCalledTimes(1)
  expect(busy.value).toBe(false)
})

test('after wrong tries nothing is sent until the suite takes it again', async () => {
  const { run, wait, faultOf } = begun()
  await run(() => Promise.reject(delayed(3)))
  expect(wait.value).toBe(3)
  const call = vi.fn(() => Promise.resolve(1))
  expect(await run(call)).toBeUndefined()
  expect(call).not.toHaveBeenCalled()
  expect(faultOf('password', 'SIGN_IN_DELAYED')).toBeDefined()
  await vi.advanceTimersByTimeAsync(3500)
  expect(wait.value).toBe(0)
  expect(await run(call)).toBe(1)
})

test('a change keeps its id until it is known what became of it', () => {
  const id = new RequestId()
  const first = id.of('a')
  expect(id.of('a')).toBe(first)
  expect(id.of('b')).not.toBe(first)
  const second = id.of('b')
  id.done()
  expect(id.of('b')).not.toBe(second)
})
