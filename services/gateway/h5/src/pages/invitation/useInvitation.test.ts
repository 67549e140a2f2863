import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { effectScope, type EffectScope } from 'vue'

import { begun, over } from '@/api/session'
import { Role } from '@/gen/zhiyuan/orgtree/v1/authority_pb'
import { useInvitation } from './useInvitation'

const service = vi.hoisted(() => ({ acceptInvitation: vi.fn() }))
vi.mock('@/api/transport', () => ({ clientOf: () => service }))
vi.mock('@/pieces/organizations', () => ({ organizationOf: () => Promise.resolve(undefined) }))

let scope: EffectScope

beforeEach(() => {
  scope = effectScope()
  history.replaceState({}, '')
  begun('')
})
afterEach(() => {
  scope.stop()
  over('left')
})

const opened = () => scope.run(() => useInvitation(() => undefined)) ?? expect.fail()

async function accept(): Promise<void> {
  const seconds = BigInt(Math.floor(Date.now() / 1000) + 600)
  service.acceptInvitation.mockResolvedValue({
    organizationCode: 'AH-340122100',
    role: Role.ADMINISTRATOR,
    checkNumber: '123456',
    expireTime: { seconds, nanos: 0 },
  })
  const invitation = opened()
  invitation.typed.value = 'ABCD1234'
  await invitation.accept()
  expect(invitation.accepted.value?.checkNumber).toBe('123456')
}

test('the number is there after a reload', async () => {
  await accept()
  const again = opened()
  again.restore()
  expect(again.accepted.value?.checkNumber).toBe('123456')
})

test('who signs in next sees no number of who was there before', async () => {
  await accept()
  // The page is gone, and can't empty its entry when the session ends.
  scope.stop()
  scope = effectScope()
  begun('')
  const next = opened()
  next.restore()
  expect(next.accepted.value).toBeUndefined()
  expect(JSON.stringify(history.state)).not.toContain('123456')
})
