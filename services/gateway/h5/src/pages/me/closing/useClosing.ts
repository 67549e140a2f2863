import { onScopeDispose, ref, shallowRef, watch } from 'vue'

import { forgetDevice, onOver, over } from '@/api/session'
import { CODE_REASONS, useSubmission } from '@/api/submission'
import { clientOf } from '@/api/transport'
import { AccountService } from '@/gen/zhiyuan/identity/v1/account_pb'
import { maskedMobile, mobileOf } from '@/pieces/typing'
import { texts } from '@/texts'

type Field = 'phone' | 'sms_code' | 'password' | 'word'

const words = texts.me.close

/** The end of the account, by password and code. */
export function useClosing(masked: () => string, lost: () => void) {
  const phone = ref('')
  const code = ref('')
  const challengeId = ref('')
  const password = ref('')
  const word = ref('')
  const faults = shallowRef<Partial<Record<Field, string>>>({})
  const submission = useSubmission()
  /** Whether it may be closed already: the answer was lost. */
  let sent = false

  watch([phone, code, password, word], () => (faults.value = {}))
  onScopeDispose(
    onOver((how) => {
      if (how === 'lost' && sent) lost()
    }),
  )

  function check(): boolean {
    const found: Partial<Record<Field, string>> = {}
    const mobile = mobileOf(phone.value)
    if (mobile === '') found.phone = texts.me.phone.format
    else if (masked() !== '' && maskedMobile(mobile) !== masked()) {
      found.phone = texts.me.phone.other(masked())
    } else if (challengeId.value === '') found.sms_code = texts.me.phone.codeFirst
    else if (code.value.length !== 6) found.sms_code = texts.me.phone.codeMissing
    if (password.value === '') found.password = words.passwordPlaceholder
    if (word.value.trim() !== words.word) found.word = words.confirmWrong
    faults.value = found
    return Object.keys(found).length === 0
  }

  async function submit(): Promise<boolean> {
    if (!check()) return false
    const answer = await submission.run(() =>
      clientOf(AccountService).closeMyAccount({
        password: password.value,
        smsChallengeId: challengeId.value,
        smsCode: code.value,
      }),
    )
    if (answer === undefined) {
      sent = submission.failure.value?.certain === false
      return false
    }
    forgetDevice()
    over('left')
    return true
  }

  function errorOf(field: Field): string | undefined {
    const reasons = {
      phone: [],
      sms_code: CODE_REASONS,
      password: ['PASSWORD_WRONG'],
      word: [],
    }
    return faults.value[field] ?? submission.faultOf(field, ...reasons[field])
  }

  return { phone, code, challengeId, password, word, faults, submission, submit, errorOf }
}
