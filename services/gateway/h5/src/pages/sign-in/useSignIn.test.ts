import { Code, ConnectError } from '@connectrpc/connect'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { effectScope, nextTick, type EffectScope } from 'vue'

import { refused } from '@/api/refused'
import { deviceToken, over, signedIn } from '@/api/session'
import { ErrorInfoSchema } from '@/gen/google/rpc/error_details_pb'
import { useSignIn } from './useSignIn'

const signIn = vi.hoisted(() => vi.fn())
vi.mock('@/api/transport', () => ({ clientOf: () => ({ signIn }) }))

let scope: EffectScope

beforeEach(() => {
  scope = effectScope()
  signIn.mockReset()
})
afterEach(() => {
  scope.stop()
  over('left')
})

const begun = () => scope.run(() => useSignIn()) ?? expect.fail()

function refusal(code: Code, reason: string) {
  const detail = { desc: ErrorInfoSchema, value: { reason, domain: 'identity.zhiyuan' } }
  return refused(new ConnectError('', code, undefined, [detail]))
}

test('a phone as people write it, and the token of the device, go to the suite', async () => {
  signIn.mockResolvedValue({ deviceToken: 'known' })
  const form = begun()
  form.identifier.value = '+86 138-0000-0001'
  form.password.value = 'luzhou-2026'
  await form.submit()
  expect(signIn.mock.lastCall?.[0]).toMatchObject({
    identifier: '13800000001',
    password: 'luzhou-2026',
    deviceToken: '',
  })
  expect(signIn.mock.lastCall?.[0]).not.toHaveProperty('smsCode')
  expect(signedIn.value).toBe(true)
  expect(deviceToken()).toBe('known')
})

test('nothing is sent that can be nobody', async () => {
  const form = begun()
  form.identifier.value = '1380000'
  await form.submit()
  expect(signIn).not.toHaveBeenCalled()
  expect(form.errors.identifier.value).toBeDefined()
  expect(form.errors.password.value).toBeDefined()
})

test('an ID number is no address for codes', async () => {
  const form = begun()
  form.identifier.value = '34012220000101101X'
  form.way.value = 'code'
  await nextTick()
  expect(form.identifier.value).toBe('')
})

test('who else may own the phone proves more, with the same code', async () => {
  signIn.mockRejectedValueOnce(refusal(Code.FailedPrecondition, 'SECOND_PROOF_REQUIRED'))
  signIn.mockResolvedValueOnce({ deviceToken: '' })
  const form = begun()
  form.way.value = 'code'
  form.identifier.value = '13800000001'
  await nextTick()
  form.challengeId.value = 'challenge'
  form.code.value = '123456'
  await form.submit()
  expect(form.proof.value).toBe(true)
  await form.submit()
  expect(signIn).toHaveBeenCalledTimes(1)
  expect(form.errors.name.value).toBeDefined()
  expect(form.errors.tail.value).toBeDefined()
  form.name.value = ' 王伟 '
  form.tail.value = '01101x'
  await form.submit()
  expect(signIn.mock.lastCall?.[0]).toMatchObject({
    smsChallengeId: 'challenge',
    smsCode: '123456',
    name: '王伟',
    idNumberTail: '01101x',
  })
  expect(signIn.mock.lastCall?.[0]).not.toHaveProperty('password')
})

test('a wrong code is told beside the code', async () => {
  signIn.mockRejectedValue(refusal(Code.Unauthenticated, 'SMS_CODE_WRONG'))
  const form = begun()
  form.way.value = 'code'
  form.identifier.value = '13800000001'
  await nextTick()
  form.challengeId.value = 'challenge'
  form.code.value = '123456'
  await form.submit()
  expect(form.errors.code.value).toBeDefined()
  expect(form.errors.identifier.value).toBeUndefined()
  expect(signedIn.value).toBe(false)
})
