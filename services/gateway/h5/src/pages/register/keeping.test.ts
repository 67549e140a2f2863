import { expect, test } from 'vitest'

import { SmsPurpose } from '@/gen/zhiyuan/identity/v1/sms_code_pb'
import { challengeOf } from '@/pieces/sentCodes'
import { emptyForm } from './form'
import { formOf, keptOf } from './keeping'

/** Made at 2026-11-23T22:47:38.577Z. */
const CHALLENGE = '01a20a97-ed51-78f8-8c6a-48acf483d420'
const MADE = 0x01a20a97ed51

function filledIn() {
  const form = emptyForm()
  form.name = '张晓明'
  form.phone = '13800000001'
  form.password = 'luzhou-2026'
  form.smsCode = '236094'
  form.smsChallengeId = CHALLENGE
  form.guardian.phone = '13800000002'
  form.guardian.smsCode = '123456'
  return form
}

test('neither password nor codes are kept', () => {
  const text = JSON.stringify(keptOf(filledIn()))
  expect(text).toContain('张晓明')
  for (const secret of ['luzhou-2026', '236094', '123456', 'password', 'smsCode"']) {
    expect(text).not.toContain(secret)
  }
})

test('a code that is on its way can be typed after a reload', () => {
  const form = formOf({ form: keptOf(filledIn()) }, MADE + 60_000)
  expect(form).toMatchObject({ name: '张晓明', password: '', smsCode: '' })
  expect(form.smsChallengeId).toBe(CHALLENGE)
  expect(challengeOf('13800000001', SmsPurpose.REGISTER)).toBe(CHALLENGE)
})

test('one whose time is over can not', () => {
  const form = formOf({ form: keptOf(filledIn()) }, MADE + 300_000)
  expect(form.smsChallengeId).toBe('')
})

test('what a draft lacks is empty', () => {
  expect(formOf({ form: { name: 'A' } }, MADE)).toEqual({ ...emptyForm(), name: 'A' })
})
