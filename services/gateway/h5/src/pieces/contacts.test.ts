import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'

import { OrganizationSchema, type Organization } from '@/gen/zhiyuan/orgtree/v1/organization_pb'
import { asked, dialled, hasContacts, upwards } from './contacts'

const tree = [
  { code: 'AH', contacts: { phone: '0551-63609733', groupNumber: '551670865' } },
  { code: 'AH-3401', parentCode: 'AH', contacts: { note: '工作日 9:00 至 17:00' } },
  { code: 'AH-340122', parentCode: 'AH-3401', contacts: {} },
  { code: 'AH-340122100', parentCode: 'AH-340122' },
  { code: 'AH-OLD', parentCode: 'AH', successorCode: 'AH-340122' },
  { code: 'AH-A', parentCode: 'AH', successorCode: 'AH-B' },
  { code: 'AH-B', parentCode: 'AH', successorCode: 'AH-A' },
].map((organization) => create(OrganizationSchema, organization))

const read = async (code: string): Promise<Organization | undefined> =>
  tree.find((organization) => organization.code === code)

const codes = async (code: string) => (await upwards(code, read)).map(({ code }) => code)

test('the way leads up to the root', async () => {
  expect(await codes('AH-340122100')).toEqual(['AH-340122100', 'AH-340122', 'AH-3401', 'AH'])
  expect(await codes('AH')).toEqual(['AH'])
  expect(await codes('')).toEqual([])
  expect(await codes('UNKNOWN')).toEqual([])
})

test('whoever followed a closed organization is on the way, and no way is without end', async () => {
  expect(await codes('AH-OLD')).toEqual(['AH-OLD', 'AH-340122', 'AH-3401', 'AH'])
  expect(await codes('AH-A')).toEqual(['AH-A', 'AH-B', 'AH'])
})

test('the nearest one is asked that says how', async () => {
  expect(asked(await upwards('AH-340122100', read))?.code).toBe('AH-3401')
  expect(asked(await upwards('AH', read))?.code).toBe('AH')
  expect(asked([])).toBeUndefined()
})

test('contacts without anything in them are none', () => {
  expect(tree.map(hasContacts)).toEqual([true, true, false, false, false, false, false])
})

test('a number is dialled as phones want it', () => {
  expect(dialled('0551-63609733')).toBe('055163609733')
  expect(dialled('（0551）6360 9733 转 2')).toBe('055163609733')
  expect(dialled('+86 551 63609733')).toBe('+8655163609733')
  expect(dialled('138 0000 0001 / 139 0000 0002')).toBe('13800000001')
  expect(dialled('请到办公室')).toBe('')
})
