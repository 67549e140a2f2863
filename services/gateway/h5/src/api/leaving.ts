import { Code, ConnectError } from '@connectrpc/connect'

import { SignInService } from '@/gen/zhiyuan/identity/v1/sign_in_pb'
import { over } from './session'
import { clientOf } from './transport'

/** Ends the session of this device; where none is left, there is nothing to end. */
export async function signOut(): Promise<void> {
  try {
    await clientOf(SignInService).signOut({})
  } catch (thrown) {
    if (ConnectError.from(thrown).code !== Code.Unauthenticated) throw thrown
  }
}

/** Ends the session of this device; whoever calls shows another page then. */
export async function leave(): Promise<void> {
  await signOut()
  over('left')
}
