import { create } from '@bufbuild/protobuf'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

import { ActorKind, AuditRecordSchema } from '@/gen/zhiyuan/identity/v1/audit_pb'
import { texts } from '@/texts'
import { actOf, actorOf, purposeOf } from './telling'

const words = texts.me.looks
const record = (init: object) => create(AuditRecordSchema, init)

test('everything that identity records of people has words', () => {
  const sources = join(import.meta.dirname, '../../../../../../identity/src')
  const recorded = readdirSync(sources, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.rs'))
    .flatMap((file) => [
      ...readFileSync(join(sources, file), 'utf8').matchAll(/"(identity\.[a-z_]+\.[a-z_]+)"/g),
    ])
    .map(([, action]) => action ?? '')
    .filter((action) => !action.startsWith('identity.service_account.'))
  expect(recorded.length).toBeGreaterThan(10)
  const told = Object.keys(words.actions)
  expect([...new Set(recorded)].filter((action) => !told.includes(action))).toEqual([])
})

test('who did it is told from where the person stands', () => {
  const kind = ActorKind.PERSON
  expect(actorOf(record({ actorKind: kind, actor: 'me' }), 'me')).toBe(words.me)
  expect(actorOf(record({ actorKind: kind, actor: 'other' }), 'me')).toBe(words.administrator)
  const platform = record({ actorKind: ActorKind.SERVICE_ACCOUNT, actor: 'zyh' })
  expect(actorOf(platform, 'me')).toBe(words.platform('zyh'))
})

test('what is not known yet is told by its name', () => {
  expect(actOf(record({ action: 'identity.new.thing' }))).toBe(words.other('identity.new.thing'))
  expect(actOf(record({ action: 'toString' }))).toBe(words.other('toString'))
})

test('what was consented to is told in words', () => {
  const given = record({ action: 'identity.consent.given', purpose: 'insurance' })
  expect(purposeOf(given)).toBe(texts.me.consents.purposes[3])
  expect(purposeOf(record({ action: 'identity.volunteer.looked_up', purpose: 'x' }))).toBe('x')
})
