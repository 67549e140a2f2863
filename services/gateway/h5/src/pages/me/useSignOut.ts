import { useRouter } from 'vue-router'

import { signOut as endHere } from '@/api/leaving'
import { over } from '@/api/session'
import type { Submission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { SessionService } from '@/gen/zhiyuan/identity/v1/session_pb'

/** Ends the session of this device, or all, and shows nothing of the person from then on. */
export function useSignOut(submission: Submission, before: () => Promise<void>) {
  const router = useRouter()

  async function signOut(everywhere: boolean): Promise<void> {
    const done = await submission.run(async () => {
      if (everywhere) await clientOf(SessionService).endOtherSessions({})
      await endHere()
      return true
    })
    if (!done) return
    await before()
    over('left')
    const told = everywhere ? 'signed-out-everywhere' : 'signed-out'
    await router.replace({ path: '/sign-in', query: { told } })
    // What was in memory goes too.
    location.reload()
  }

  return { signOut }
}
