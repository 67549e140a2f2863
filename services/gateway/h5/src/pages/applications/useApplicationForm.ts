import { computed, reactive, ref, shallowRef, watch } from 'vue'

import { onOver } from '@/api/session'
import { RequestId, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import {
  ApplicationState,
  OrganizationApplicationService,
  type OrganizationApplication,
} from '@/gen/zhiyuan/orgtree/v1/organization_application_pb'
import type { Organization } from '@/gen/zhiyuan/orgtree/v1/organization_pb'
import { organizationOf } from '@/pieces/organizations'
import { emptyWanted, faultsOf, said, wantedOf, type Faults, type Wanted } from './wanted'

/** What the service says of the organization, by the field that it concerns. */
export const REASONS: Record<string, string[]> = {
  superior_code: ['ORGANIZATION_NOT_FOUND', 'ORGANIZATION_CLOSED', 'TOO_MANY_CHILDREN'],
  'details.name': ['ORGANIZATION_NAME_TAKEN'],
  'details.region_code': ['REGION_NOT_FOUND', 'REGION_ABOLISHED'],
  'details.credit_code': ['CREDIT_CODE_TAKEN'],
}

/** What was filled in and not sent, as long as the pages are open and the session goes on. */
let unsent: { wanted: Wanted; requestId: RequestId } | undefined
onOver(() => (unsent = undefined))

/** A new application. */
export function useNewApplication() {
  const start = (unsent ??= { wanted: reactive(emptyWanted()), requestId: new RequestId() })
  const form = useForm(start.wanted, start.requestId)
  const successor = shallowRef<Organization>()

  async function submit(): Promise<string | undefined> {
    successor.value = undefined
    if (!form.check()) return undefined
    const { superiorCode } = form.wanted
    const body = { superiorCode, ...said(form.wanted) }
    const answer = await form.send((requestId) =>
      clientOf(OrganizationApplicationService).submitApplication({ requestId, ...body }),
    )
    if (answer !== undefined) {
      unsent = undefined
      return answer.applicationId
    }
    const follows = form.submission.failure.value?.metadata['successor_code']
    if (follows) successor.value = await organizationOf(follows).catch(() => undefined)
    return undefined
  }

  function follow(): void {
    form.wanted.superiorCode = successor.value?.code ?? form.wanted.superiorCode
    successor.value = undefined
    form.submission.clear()
  }

  return { ...form, successor, submit, follow }
}

/** One that was returned, to be handed in again. */
export function useCorrection(read: () => Promise<OrganizationApplication | undefined>) {
  const form = useForm(reactive(emptyWanted()), new RequestId())
  const application = shallowRef<OrganizationApplication>()
  /** Whether it was changed elsewhere while it was corrected here. */
  const changed = ref(false)
  const open = computed(() => application.value?.state === ApplicationState.RETURNED)

  async function load(): Promise<void> {
    application.value = await read()
    if (application.value) Object.assign(form.wanted, wantedOf(application.value))
  }

  async function submit(): Promise<boolean> {
    changed.value = false
    if (!application.value || !form.check()) return false
    const { id: applicationId, etag } = application.value
    const body = { applicationId, etag, ...said(form.wanted) }
    const answer = await form.send((requestId) =>
      clientOf(OrganizationApplicationService).updateApplication({ requestId, ...body }),
    )
    if (answer !== undefined) return true
    if (form.submission.failure.value?.reason === 'APPLICATION_CHANGED') {
      await load().then(
        () => {
          form.submission.clear()
          changed.value = true
        },
        () => undefined,
      )
    }
    return false
  }

  return { ...form, application, changed, open, load, submit }
}

function useForm(wanted: Wanted, requestId: RequestId) {
  const faults = shallowRef<Faults>({})
  const submission = useSubmission()

  watch(wanted, () => (faults.value = {}))

  function check(): boolean {
    faults.value = faultsOf(wanted)
    return Object.keys(faults.value).length === 0
  }

  /** Sends it, with the same id until it is certain what became of it. */
  async function send<T>(call: (requestId: string) => Promise<T>): Promise<T | undefined> {
    const id = requestId.of(JSON.stringify(wanted))
    const answer = await submission.run(() => call(id))
    if (answer !== undefined || submission.failure.value?.certain) requestId.done()
    return answer
  }

  function errorOf(field: string): string | undefined {
    return faults.value[field] ?? submission.faultOf(field, ...(REASONS[field] ?? []))
  }

  return { wanted, faults, submission, check, send, errorOf }
}
