import { Code, ConnectError } from '@connectrpc/connect'
import { afterEach, expect, test, vi } from 'vitest'
import { effectScope } from 'vue'

import { refused } from '@/api/refused'
import { ErrorInfoSchema } from '@/gen/google/rpc/error_details_pb'
import { useNewApplication } from './useApplicationForm'

const submitApplication = vi.hoisted(() => vi.fn())
vi.mock('@/api/transport', () => ({ clientOf: () => ({ submitApplication }) }))

const scope = effectScope()
afterEach(() => scope.stop())

test('what the service says of a field is told beside it', async () => {
  const form = scope.run(() => useNewApplication()) ?? expect.fail()
  Object.assign(form.wanted, {
    superiorCode: 'AH-340122100',
    name: '店埠镇青年志愿服务队',
    regionCode: '340122',
    purpose: '组织青年志愿者开展社区服务。',
    phone: '0551-67700000',
  })
  expect(form.check()).toBe(true)
  for (const [reason, field] of [
    ['REGION_ABOLISHED', 'details.region_code'],
    ['REGION_NOT_FOUND', 'details.region_code'],
    ['ORGANIZATION_CLOSED', 'superior_code'],
    ['ORGANIZATION_NAME_TAKEN', 'details.name'],
  ] as const) {
    const detail = { desc: ErrorInfoSchema, value: { reason, domain: 'orgtree.zhiyuan' } }
    submitApplication.mockRejectedValueOnce(
      refused(new ConnectError('', Code.FailedPrecondition, undefined, [detail])),
    )
    expect(await form.submit()).toBeUndefined()
    expect(form.errorOf(field), reason).toBeTruthy()
  }
})
