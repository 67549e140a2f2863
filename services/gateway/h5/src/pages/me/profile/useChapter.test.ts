import { create } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { effectScope, type EffectScope } from 'vue'

import { refused } from '@/api/refused'
import { ErrorInfoSchema } from '@/gen/google/rpc/error_details_pb'
import { ProfileSchema, Skill } from '@/gen/zhiyuan/registration/v1/profile_pb'
import { useChapter } from './useChapter'

const service = vi.hoisted(() => ({ getMyProfile: vi.fn(), updateMyProfile: vi.fn() }))
vi.mock('@/api/transport', () => ({ clientOf: () => service }))

let scope: EffectScope
const record = (etag: string, skills: Skill[] = []) =>
  create(ProfileSchema, { etag, details: { regionCode: '340122', skills } })

beforeEach(() => {
  scope = effectScope()
  service.getMyProfile.mockReset().mockResolvedValue({ profile: record('1') })
  service.updateMyProfile.mockReset()
})
afterEach(() => scope.stop())

async function opened() {
  const chapter = scope.run(() => useChapter('skills')) ?? expect.fail()
  await chapter.load()
  return chapter
}

const sent = (call: number) => service.updateMyProfile.mock.calls[call]?.[0]

test('changes the fields of its chapter alone, on the record that was read', async () => {
  service.updateMyProfile.mockResolvedValue({ profile: record('2', [Skill.LAW]) })
  const { details, changed, save } = await opened()
  expect(changed.value).toBe(false)
  details.skills = [Skill.LAW]
  expect(changed.value).toBe(true)
  expect(await save()).toMatchObject({ etag: '2' })
  expect(sent(0)).toMatchObject({
    etag: '1',
    updateMask: { paths: ['skills'] },
    details: { skills: [Skill.LAW] },
  })
})

test('a lost answer is asked for again by the same id', async () => {
  service.updateMyProfile.mockRejectedValueOnce(refused(new ConnectError('', Code.Unavailable)))
  service.updateMyProfile.mockResolvedValueOnce({ profile: record('2') })
  const { details, save } = await opened()
  details.skills = [Skill.LAW]
  expect(await save()).toBeUndefined()
  await save()
  expect(sent(1).requestId).toBe(sent(0).requestId)
})

test('who changed it elsewhere meanwhile sees it as it stands', async () => {
  service.updateMyProfile.mockRejectedValueOnce(
    refused(
      new ConnectError('', Code.Aborted, undefined, [
        { desc: ErrorInfoSchema, value: { reason: 'ETAG_STALE', domain: 'registration.zhiyuan' } },
      ]),
    ),
  )
  const { details, stale, submission, save } = await opened()
  details.skills = [Skill.LAW]
  service.getMyProfile.mockResolvedValue({ profile: record('2', [Skill.REPAIR]) })
  expect(await save()).toBeUndefined()
  expect(stale.value).toBe(true)
  expect(details.skills).toEqual([Skill.REPAIR])
  expect(submission.failure.value).toBeUndefined()
  details.skills = [Skill.REPAIR, Skill.LAW]
  await save()
  expect(sent(1)).toMatchObject({ etag: '2' })
  expect(sent(1).requestId).not.toBe(sent(0).requestId)
})
