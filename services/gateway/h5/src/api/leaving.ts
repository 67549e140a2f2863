import { SignInService } from '@/gen/zhiyuan/identity/v1/sign_in_pb'
import { over } from './session'
import { clientOf } from './transport'

/** Ends the session of this device; whoever calls shows another page then. */
export async function leave(): Promise<void> {
  await clientOf(SignInService).signOut({})
  over('left')
}
