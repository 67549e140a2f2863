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

/** Keeps what is to be kept of an answer, and says where it is shown. */
export function settle(
  answer: Answer,
  sent: Sent,
): { path: string; state?: { requestId: string } } {
  if (answer.state === RegistrationState.ACTIVE && answer.volunteer !== undefined) {
    registered(answer.volunteer, sent.credentials)
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
