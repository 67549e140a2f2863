import { expect, test } from 'vitest'

import type { Failure } from '@/api/failure'
import { tell } from './refusal'

function failure(reason: string, fields: Record<string, string> = {}): Failure {
  return {
    reason,
    message: 'M',
    fields,
    retryAt: undefined,
    metadata: {},
    certain: true,
    traceId: '',
  }
}

test('all violations are shown beside their fields', () => {
  const told = tell(
    failure('INVALID_FIELDS', {
      id_number: 'I',
      'guardian.phone': 'G',
      'consents[0].version': 'C',
      sms_challenge_id: 'S',
    }),
    false,
  )
  expect(Object.keys(told.faults)).toEqual(['id_number', 'guardian.phone', 'consents', 'sms_code'])
  expect(told.faults).toMatchObject({ id_number: 'I', 'guardian.phone': 'G', consents: 'C' })
  expect(told.whole).toBeUndefined()
})

test('a violation of what is not on the form is told with the form', () => {
  const said = failure('INVALID_FIELDS', { request_id: 'R', name: 'N' })
  expect(tell(said, false)).toEqual({ faults: { name: 'N' }, whole: said })
})

test('a mismatch is told beside both fields that may be wrong', () => {
  expect(tell(failure('ID_NAME_MISMATCH'), false).faults).toEqual({ name: 'M', id_number: 'M' })
  expect(Object.keys(tell(failure('GUARDIAN_ID_MISMATCH'), false).faults)).toEqual([
    'guardian.name',
    'guardian.id_number',
  ])
})

test('who activates has no such fields, and is told with the form', () => {
  const said = failure('ID_NAME_MISMATCH')
  expect(tell(said, true)).toEqual({ faults: {}, whole: said })
})

test('what no field can mend concerns the form', () => {
  for (const reason of ['ALREADY_REGISTERED', 'ID_CHECK_LIMIT', 'CLAIM_OPEN', 'NETWORK']) {
    expect(tell(failure(reason), false).whole?.reason).toBe(reason)
  }
})
