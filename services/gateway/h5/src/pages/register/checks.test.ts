import { expect, test } from 'vitest'

import { ConsentPurpose } from '@/gen/zhiyuan/identity/v1/consent_pb'
import { GuardianRelation } from '@/gen/zhiyuan/identity/v1/guardian_pb'
import { check, idNumberFault, type Circumstances } from './checks'
import { bodyOf, emptyForm } from './form'

const TODAY = '2026-12-01'
const ADULT: Circumstances = {
  today: TODAY,
  activated: false,
  guardian: false,
  consentsComplete: true,
  claiming: false,
}

function filledIn() {
  return Object.assign(emptyForm(), {
    name: ' 张晓明 ',
    idNumber: '341822 19980101 005x',
    regionCode: '340122',
    organizationCode: 'AH-340122100',
    phone: '138 0000 0001',
    smsChallengeId: 'c',
    smsCode: '123456',
    password: 'luzhou-2026',
    consents: [{ purpose: ConsentPurpose.REGISTRATION, version: '2026-11-01' }],
  })
}

function withGuardian() {
  const form = filledIn()
  Object.assign(form.guardian, {
    name: '张大伟',
    idNumber: '340826200502280025',
    relation: GuardianRelation.FATHER,
    phone: '13800000002',
    smsChallengeId: 'g',
    smsCode: '654321',
  })
  return form
}

test('of an empty form everything is told, in its order', () => {
  const about = { ...ADULT, guardian: true, consentsComplete: false }
  expect(Object.keys(check(emptyForm(), about))).toEqual([
    'name',
    'id_number',
    'region_code',
    'organization_code',
    'phone',
    'sms_code',
    'password',
    'guardian.name',
    'guardian.id_number',
    'guardian.relation',
    'guardian.phone',
    'guardian.sms_code',
    'consents',
  ])
})

test('of a good form nothing is told', () => {
  expect(check(filledIn(), ADULT)).toEqual({})
  expect(check(withGuardian(), { ...ADULT, guardian: true })).toEqual({})
})

test('of whom a roster knows it, name, number and phone are not asked', () => {
  const form = Object.assign(emptyForm(), {
    regionCode: '340122',
    organizationCode: 'A',
    password: 'luzhou-2026',
  })
  expect(check(form, { ...ADULT, activated: true })).toEqual({})
})

test('a guardian is somebody else, and grown up', () => {
  const form = withGuardian()
  form.guardian.phone = form.phone
  form.guardian.idNumber = form.idNumber
  const faults = check(form, { ...ADULT, guardian: true })
  expect(Object.keys(faults)).toEqual(['guardian.id_number', 'guardian.phone'])
  form.guardian.idNumber = '340104201106010013'
  expect(check(form, { ...ADULT, guardian: true })['guardian.id_number']).toContain('18')
})

test('who is under 14 learns it from the number', () => {
  expect(idNumberFault('340104201106010013', TODAY)).toBe('')
  expect(idNumberFault('340104201106010013', '2025-05-31')).toContain('14')
})

test('what is sent is as the suite wants it', () => {
  const body = bodyOf(filledIn(), { guardian: false, activationProof: '' })
  expect(body).toMatchObject({
    name: '张晓明',
    idNumber: '34182219980101005X',
    phone: '13800000001',
  })
  expect(body).not.toHaveProperty('guardian')
})

test('with the proof of an activation nothing of the person is sent', () => {
  const body = bodyOf(filledIn(), { guardian: false, activationProof: 'p' })
  expect(body.activationProof).toBe('p')
  for (const field of [
    'name',
    'idNumber',
    'phone',
    'smsCode',
    'smsChallengeId',
    'claimStatement',
  ]) {
    expect(body).not.toHaveProperty(field)
  }
})
