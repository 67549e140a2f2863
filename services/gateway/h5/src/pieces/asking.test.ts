import { expect, test } from 'vitest'

import { ErrorReason as OfIdentity } from '@/gen/zhiyuan/identity/v1/error_reason_pb'
import { ErrorReason as OfOrgtree } from '@/gen/zhiyuan/orgtree/v1/error_reason_pb'
import { ErrorReason as OfRegistration } from '@/gen/zhiyuan/registration/v1/error_reason_pb'
import { ErrorReason as OfAll } from '@/gen/zhiyuan/rpc/v1/error_reason_pb'
import { ONESELF, TECHNICAL, trackOf } from './asking'

test('what is filled in wrong, codes and delays are mended by oneself', () => {
  for (const reason of ['INVALID_FIELDS', 'SMS_CODE_WRONG', 'SIGN_IN_DELAYED', 'NETWORK']) {
    expect(trackOf({ reason })).toBe('oneself')
  }
})

test('of the check of a person the own committee is asked', () => {
  const reasons = ['ID_NAME_MISMATCH', 'ID_NOT_FOUND', 'ALREADY_REGISTERED', 'CLAIM_REJECTED']
  for (const reason of reasons) expect(trackOf({ reason })).toBe('registration')
})

test('of what is broken the province is asked', () => {
  for (const reason of ['INTERNAL', 'UNKNOWN', 'SMS_UNAVAILABLE']) {
    expect(trackOf({ reason })).toBe('technical')
  }
})

test('of a reason that nobody thought of a person is asked', () => {
  expect(trackOf({ reason: 'SOMETHING_NEW' })).toBe('registration')
})

test('all reasons that are named here are in the contracts, and named once', () => {
  const known = [OfIdentity, OfOrgtree, OfRegistration, OfAll].flatMap((reasons) =>
    Object.keys(reasons),
  )
  const ours = ['NETWORK', 'UNKNOWN']
  const named = [...ONESELF, ...TECHNICAL]
  expect(named.filter((reason) => !known.includes(reason) && !ours.includes(reason))).toEqual([])
  expect(new Set(named).size).toBe(named.length)
})
