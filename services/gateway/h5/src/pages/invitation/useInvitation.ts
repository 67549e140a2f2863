import { timestampDate } from '@bufbuild/protobuf/wkt'
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'

import { millisOf, serverNow } from '@/api/clock'
import { failureOf, type Failure } from '@/api/failure'
import { onOver, shownSession } from '@/api/session'
import { RequestId, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { AuthorityService, type Role } from '@/gen/zhiyuan/orgtree/v1/authority_pb'
import { InvitationService } from '@/gen/zhiyuan/orgtree/v1/invitation_pb'
import { organizationOf } from '@/pieces/organizations'
import { texts } from '@/texts'
import { invitationCodeOf } from './invitationCode'

/** What was accepted, and waits to be confirmed. */
export interface Accepted {
  organizationCode: string
  role: Role
  checkNumber: string
  /** In milliseconds. */
  expireTime: number
  /** In milliseconds. */
  acceptedAt: number
}

/** How often it is looked whether it is confirmed, in milliseconds. */
const LOOK = 10_000

const words = texts.invitation

/*
 * The number is shown once. It stays as long as the entry of the page in the browser's history, so
 * that a reload does not lose it, and goes with the session: other entries of the history can't be
 * emptied, so that each says whose it is.
 */
interface Entry {
  accepted?: Accepted | undefined
  acceptedIn?: string | null
}

function keepInEntry(accepted: Accepted | undefined): void {
  const entry: Entry = { accepted, acceptedIn: shownSession() }
  window.history.replaceState({ ...window.history.state, ...entry }, '')
}

/** Accepting an invitation, and waiting for whoever made it. */
export function useInvitation(confirmed: () => void) {
  const typed = ref('')
  const fault = ref<string>()
  const accepted = shallowRef<Accepted>()
  const organization = ref('')
  /** Whether the role counts. */
  const done = ref(false)
  const checking = ref(false)
  const checkedAt = ref(0)
  const failure = shallowRef<Failure>()
  const now = ref(serverNow())
  const submission = useSubmission()
  const requestId = new RequestId()

  const expired = computed(
    () => accepted.value !== undefined && now.value >= accepted.value.expireTime,
  )

  const ticking = setInterval(() => {
    now.value = serverNow()
    const due = now.value - checkedAt.value >= LOOK
    if (due && document.visibilityState === 'visible') void check()
  }, 1000)
  onScopeDispose(() => clearInterval(ticking))
  onScopeDispose(onOver(() => show(undefined)))

  watch(typed, () => (fault.value = undefined))

  /** What this page showed before it was loaded again. */
  function restore(): void {
    const { accepted: before, acceptedIn } = (window.history.state ?? {}) as Entry
    const mine = acceptedIn === shownSession()
    if (before) show(mine && before.expireTime > serverNow() ? before : undefined)
  }

  function show(now: Accepted | undefined): void {
    accepted.value = now
    done.value = false
    failure.value = undefined
    checkedAt.value = serverNow()
    keepInEntry(now)
    organization.value = now?.organizationCode ?? ''
    if (now) void name(now.organizationCode)
  }

  async function name(code: string): Promise<void> {
    const found = await organizationOf(code).catch(() => undefined)
    if (accepted.value?.organizationCode === code) organization.value = found?.name ?? code
  }

  async function accept(): Promise<void> {
    const invitationCode = invitationCodeOf(typed.value)
    fault.value = invitationCode === '' ? words.codeFormat : undefined
    if (invitationCode === '') return
    const answer = await submission.run(() =>
      clientOf(InvitationService).acceptInvitation({
        requestId: requestId.of(invitationCode),
        invitationCode,
      }),
    )
    if (answer !== undefined || submission.failure.value?.certain) requestId.done()
    if (answer === undefined) return
    const { organizationCode, role, checkNumber, expireTime } = answer
    show({
      organizationCode,
      role,
      checkNumber,
      expireTime: expireTime ? millisOf(expireTime) : serverNow(),
      acceptedAt: serverNow(),
    })
    typed.value = ''
  }

  /** Looks whether the role counts by now. */
  async function check(): Promise<void> {
    const waits = accepted.value
    if (waits === undefined || done.value || checking.value) return
    checking.value = true
    try {
      const { grants } = await clientOf(AuthorityService).listMyGrants({ pageSize: 500 })
      if (accepted.value !== waits) return
      failure.value = undefined
      const given = grants.some(
        ({ organizationCode, role, createTime }) =>
          organizationCode === waits.organizationCode &&
          role === waits.role &&
          createTime !== undefined &&
          // Not one from before; the clocks may differ by the second of the `date` header.
          timestampDate(createTime).getTime() >= waits.acceptedAt - 2000,
      )
      if (given) {
        done.value = true
        keepInEntry(undefined)
        confirmed()
      }
    } catch (thrown) {
      failure.value = failureOf(thrown)
    } finally {
      checking.value = false
      checkedAt.value = serverNow()
    }
  }

  return {
    typed,
    fault,
    accepted,
    organization,
    done,
    expired,
    checking,
    checkedAt,
    failure,
    submission,
    restore,
    accept,
    check,
    another: () => show(undefined),
  }
}
