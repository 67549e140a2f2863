import { create, toBinary } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import { describe, expect, test } from 'vitest'

import { refused } from '@/api/refused'
import { ErrorInfoSchema } from '@/gen/google/rpc/error_details_pb'
import { sendOnce, type Attempt } from './attempt'

function refusal(reason: string, code = Code.FailedPrecondition) {
  const error = new ConnectError('refused', code)
  const value = toBinary(
    ErrorInfoSchema,
    create(ErrorInfoSchema, { reason, domain: 'registration.zhiyuan' }),
  )
  error.details.push({ type: ErrorInfoSchema.typeName, value })
  return refused(error)
}

const lost = () =>
  refused(new ConnectError('lost', Code.Unknown, undefined, undefined, new TypeError()))

/** A suite that is told what to answer, and a page that keeps what is open. */
function page(answers: (string | Error)[], open?: Attempt) {
  const calls: string[] = []
  let made = 0
  const state = { open, calls, send }
  const answer = (call: string) => {
    calls.push(call)
    const next = answers.shift()
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next ?? 'ACTIVE')
  }
  function send(body: string, person = 'one'): Promise<string> {
    return sendOnce({
      open: state.open,
      body,
      person,
      makeId: () => `id-${(made += 1)}`,
      register: (id) => answer(`register ${id}`),
      get: (id) => answer(`get ${id}`),
      keep: (attempt) => (state.open = attempt),
    })
  }
  return state
}

describe('the same form', () => {
  test('goes with the same id until an answer is certain', async () => {
    const one = page([lost(), refusal('UNAVAILABLE', Code.Unavailable), 'ACTIVE'])
    await expect(one.send('a')).rejects.toThrow()
    await expect(one.send('a')).rejects.toThrow()
    expect(await one.send('a')).toBe('ACTIVE')
    expect(one.calls).toEqual(['register id-1', 'register id-1', 'register id-1'])
    expect(one.open).toBeUndefined()
  })

  test('keeps its id where a second call was not looked at', async () => {
    const one = page([lost(), refusal('OVERLOADED', Code.ResourceExhausted), 'ACTIVE'])
    await expect(one.send('a')).rejects.toThrow()
    await expect(one.send('a')).rejects.toThrow()
    expect(await one.send('a')).toBe('ACTIVE')
    expect(one.calls).toEqual(['register id-1', 'register id-1', 'register id-1'])
  })

  test('goes with a new id once it was refused', async () => {
    const one = page([refusal('ID_CHECK_LIMIT'), 'ACTIVE'])
    await expect(one.send('a')).rejects.toThrow()
    expect(one.open).toBeUndefined()
    await one.send('a')
    expect(one.calls).toEqual(['register id-1', 'register id-2'])
  })
})

describe('another form after a lost answer', () => {
  test('is sent by itself if it is that of somebody else', async () => {
    const one = page([lost(), 'ACTIVE'])
    await expect(one.send('a')).rejects.toThrow()
    await one.send('b', 'another')
    expect(one.calls).toEqual(['register id-1', 'register id-2'])
  })

  test('is not sent if the first one stands', async () => {
    const one = page([lost(), 'PENDING'])
    await expect(one.send('a')).rejects.toThrow()
    expect(await one.send('b')).toBe('PENDING')
    expect(one.calls).toEqual(['register id-1', 'get id-1'])
    expect(one.open).toBeUndefined()
  })

  test('goes with the same id if the first one was never seen', async () => {
    const one = page([lost(), refusal('REGISTRATION_NOT_FOUND'), 'ACTIVE'])
    await expect(one.send('a')).rejects.toThrow()
    await one.send('b')
    expect(one.calls).toEqual(['register id-1', 'get id-1', 'register id-1'])
  })

  test('goes with a new id if the first one was refused', async () => {
    const one = page([lost(), refusal('SMS_CODE_WRONG', Code.Unauthenticated), 'ACTIVE'])
    await expect(one.send('a')).rejects.toThrow()
    await one.send('b')
    expect(one.calls).toEqual(['register id-1', 'get id-1', 'register id-2'])
  })

  test('waits if nobody can say what became of the first one', async () => {
    const one = page([lost(), lost(), 'ACTIVE'])
    await expect(one.send('a')).rejects.toThrow()
    await expect(one.send('b')).rejects.toThrow()
    expect(one.open).toEqual({ requestId: 'id-1', body: 'a', person: 'one' })
  })
})

describe('after a reload, when it is not known what was sent', () => {
  const open = { requestId: 'id-0', body: undefined }

  test('the first form is asked for', async () => {
    const one = page(['ACTIVE'], open)
    expect(await one.send('a')).toBe('ACTIVE')
    expect(one.calls).toEqual(['get id-0'])
  })

  test('a first form that comes late is found, and nobody is registered twice', async () => {
    const one = page(
      [
        refusal('REGISTRATION_NOT_FOUND'),
        refusal('REQUEST_ID_REUSED', Code.AlreadyExists),
        'PENDING',
      ],
      open,
    )
    expect(await one.send('a')).toBe('PENDING')
    expect(one.calls).toEqual(['get id-0', 'register id-0', 'get id-0'])
    expect(one.open).toBeUndefined()
  })

  test('one that comes late and is refused makes room for this one', async () => {
    const one = page(
      [
        refusal('REGISTRATION_NOT_FOUND'),
        refusal('REQUEST_ID_REUSED', Code.AlreadyExists),
        refusal('SMS_CODE_WRONG', Code.Unauthenticated),
        'ACTIVE',
      ],
      open,
    )
    expect(await one.send('a')).toBe('ACTIVE')
    expect(one.calls).toEqual(['get id-0', 'register id-0', 'get id-0', 'register id-1'])
  })
})
