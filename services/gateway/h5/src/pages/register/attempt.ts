import { failureOf } from '@/api/failure'

/** Something was sent, and nobody knows whether it was done. */
export interface Attempt {
  requestId: string
  /** What was sent; not known any more after a reload. */
  body: string | undefined
  /** Whose form it was; not known any more after a reload. */
  person?: string | undefined
}

/** What sending a form needs. */
export interface Sending<T> {
  open: Attempt | undefined
  body: string
  /** Whose form it is. */
  person: string
  makeId: () => string
  register: (requestId: string) => Promise<T>
  get: (requestId: string) => Promise<T>
  /** Told before each call what is open, and after a certain answer that nothing is. */
  keep: (attempt: Attempt | undefined) => void
}

/**
 * Sends a form so that one person is registered once. The same form goes with the same id until
 * the answer is certain. Before another form goes, it is asked what became of the first one: if it
 * stands, that is the answer; if the suite has never seen it, the id is still good, and whatever is
 * still on its way with it can't register anybody besides; if it was refused, a new id is made.
 */
export async function sendOnce<T>(sending: Sending<T>): Promise<T> {
  const { open, body, person, makeId, keep } = sending
  // What became of somebody else's is no answer to this one.
  const other = open?.person !== undefined && open.person !== person
  let requestId = other ? undefined : open?.requestId
  if (open !== undefined && !other && open.body !== body) {
    const before = await fateOf(sending, open.requestId)
    if (before.kind === 'stands') return done(sending, before.state)
    if (before.kind === 'refused') requestId = undefined
  }
  requestId ??= makeId()
  keep({ requestId, body, person })
  try {
    return done(sending, await sending.register(requestId))
  } catch (thrown) {
    const { reason, certain } = failureOf(thrown)
    if (reason !== 'REQUEST_ID_REUSED') {
      if (certain) keep(undefined)
      throw thrown
    }
  }
  // The first form had been on its way, and has come before this one.
  const before = await fateOf(sending, requestId)
  if (before.kind === 'stands') return done(sending, before.state)
  return sendOnce({ ...sending, open: undefined })
}

/** What became of a form that was sent. */
export type Fate<T> = { kind: 'stands'; state: T } | { kind: 'unknown' } | { kind: 'refused' }

async function fateOf<T>({ get }: Sending<T>, requestId: string): Promise<Fate<T>> {
  try {
    return { kind: 'stands', state: await get(requestId) }
  } catch (thrown) {
    const { reason, certain } = failureOf(thrown)
    if (!certain) throw thrown
    return { kind: reason === 'REGISTRATION_NOT_FOUND' ? 'unknown' : 'refused' }
  }
}

function done<T>({ keep }: Sending<T>, state: T): T {
  keep(undefined)
  return state
}
