import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'

import { OrganizationApplicationSchema } from '@/gen/zhiyuan/orgtree/v1/organization_application_pb'
import { texts } from '@/texts'
import { emptyWanted, faultsOf, holdsLongNumber, lengthOf, said, wantedOf } from './wanted'

const words = texts.applications.form

const good = {
  ...emptyWanted(),
  superiorCode: 'AH-340122',
  name: '肥东县青年志愿服务队',
  phone: '0551-67710000 转 2',
  purpose: '组织青年参加社区服务，\n现有 30 人',
}

test('what is needed is enough', () => {
  expect(faultsOf(good)).toEqual({})
  expect(said(good).purpose).toBe('组织青年参加社区服务， 现有 30 人')
})

test('each fault is told at its field', () => {
  expect(Object.keys(faultsOf(emptyWanted())).sort()).toEqual(
    ['details.contacts.phone', 'details.name', 'purpose', 'superior_code'].sort(),
  )
  const wrong = {
    ...good,
    kind: 0,
    name: '队',
    creditCode: '123',
    phone: '找小王',
    groupNumber: '群！',
    note: '长'.repeat(201),
    purpose: '请打 139-0000-0000',
  }
  expect(faultsOf(wrong)).toEqual({
    kind: words.kindMissing,
    'details.name': words.nameLength,
    'details.credit_code': texts.applications.creditCode.length,
    'details.contacts.phone': words.phoneForm,
    'details.contacts.group_number': words.groupForm,
    'details.contacts.note': words.noteLength,
    purpose: words.purposePersonal,
  })
})

test('numbers of people are found as the service finds them', () => {
  for (const text of ['新号139 0000 0000', '(139)_0000/0000', '１３９００００００００']) {
    expect(holdsLongNumber(text), text).toBe(true)
  }
  for (const text of ['', '12345', '2026年11月25日到窗口', '房间 12-3，窗口 4']) {
    expect(holdsLongNumber(text), text).toBe(false)
  }
})

test('a rare character is one', () => {
  expect(lengthOf('𠮷\n队')).toBe(3)
})

test('what was said comes back as it was', () => {
  const application = create(OrganizationApplicationSchema, {
    superiorCode: good.superiorCode,
    ...said(good),
  })
  expect(said(wantedOf(application))).toEqual(said(good))
})
