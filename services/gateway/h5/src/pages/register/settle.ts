import type { Router } from 'vue-router'

import {
  RegistrationState,
  type GetRegistrationResponse,
} from '@/gen/zhiyuan/registration/v1/registration_pb'
import { endActivation } from './activation'
import { registered, rememberCredentials, type Credentials } from './outcome'
import { keepWaiting } from './waiting'

/** How a registration stands, and under which id. */
export type Answer = Pick<GetRegistrationResponse, 'state' | 'nextRetryTime' | 'volunteer'> & {
  requestId: string
}

/** What else is known of it. */
export interface Sent {
  claim: boolean
  organizationCode: string
  credentials: Credentials | undefined
}

/** Where an answer is shown. */
export interface Place {
  path: string
  state?: { requestId: string }
}

/** Shows it there. It is done, whether or not the page that says so can be loaded just now. */
export async function show(router: Router, place: Place): Promise<void> {
  try {
    await router.replace(place)
  } catch {
    history.replaceState({ ...history.state, ...place.state }, '', place.path)
    location.reload()
  }
}

/** Keeps what is to be kept of an answer, and says where it is shown. */
export function settle(answer: Answer, sent: Sent): Place {
  if (answer.state === RegistrationState.ACTIVE && answer.volunteer !== undefined) {
    registered(answer.volunteer, answer.requestId, sent.credentials)
    // In the entry of the history, so that it survives a reload and is in no address.
    return { path: '/register/done', state: { requestId: answer.requestId } }
  }
  keepWaiting({
    requestId: answer.requestId,
    claim: sent.claim,
    organizationCode: sent.organizationCode,
    since: Date.now(),
  })
  rememberCredentials(sent.credentials)
  endActivation()
  return { path: '/register/pending' }
}
