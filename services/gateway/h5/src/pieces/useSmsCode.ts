import type { Timestamp } from '@bufbuild/protobuf/wkt'
import { computed, onScopeDispose, ref, watch, type Ref } from 'vue'

import { withChallenge, type Solution } from '@/api/challenge'
import { millisOf, serverNow } from '@/api/clock'
import { failureOf } from '@/api/failure'
import { deviceToken } from '@/api/session'
import { smsCodeService } from '@/api/services'
import { clientOf } from '@/api/transport'
import type { SmsPurpose } from '@/gen/zhiyuan/identity/v1/sms_code_pb'
import { texts } from '@/texts'
import { challengeOf, codeSent, nextSendOf, waitsUntil } from './sentCodes'
import { maskedMobile, mobileOf } from './typing'

/** What a call that sends a code answers. */
export interface SentCode {
  challengeId: string
  nextSendTime?: Timestamp | undefined
}

/** Asks for a code; calls that want a phone proved otherwise bring their own. */
export type SendCode = (solution: Solution | undefined) => Promise<SentCode>

/** Somebody who has typed nothing by then is told where codes get lost, in milliseconds. */
const NOTHING_CAME = 20_000
/** Longer waits are told by the time at which they end, in seconds. */
const COUNTED = 120

const words = texts.pieces.sms

/** How a code gets to a phone, and when the next one may. */
export function useSmsCode(
  phone: () => string,
  purpose: () => SmsPurpose,
  send: () => SendCode | undefined,
  challengeId: Ref<string>,
) {
  const sending = ref(false)
  const working = ref(false)
  const fault = ref('')
  const late = ref(false)
  const now = ref(serverNow())

  const mobile = computed(() => mobileOf(phone()))
  const wait = computed(() =>
    mobile.value === '' ? 0 : Math.max(0, Math.ceil((nextSendOf(mobile.value) - now.value) / 1000)),
  )
  const sent = computed(() => mobile.value !== '' && challengeOf(mobile.value, purpose()) !== '')

  const ticking = setInterval(() => (now.value = serverNow()), 500)
  let lateTimer: ReturnType<typeof setTimeout> | undefined
  onScopeDispose(() => {
    clearInterval(ticking)
    clearTimeout(lateTimer)
  })

  watch(
    mobile,
    (number) => {
      fault.value = ''
      // A code belongs to the phone that got it.
      challengeId.value = number === '' ? '' : challengeOf(number, purpose())
      waitForIt()
    },
    { immediate: true },
  )
  // What was said of the wait is over with it.
  watch(wait, (left) => left === 0 && (fault.value = ''))

  function waitForIt(): void {
    late.value = false
    clearTimeout(lateTimer)
    if (challengeId.value !== '') lateTimer = setTimeout(() => (late.value = true), NOTHING_CAME)
  }

  const button = computed(() => {
    if (working.value) return words.working
    if (sending.value) return words.sending
    if (wait.value > COUNTED) return words.later(clockTime(nextSendOf(mobile.value)))
    if (wait.value > 0) return words.wait(wait.value)
    return sent.value ? words.again : words.get
  })

  const hints = computed(() => {
    if (working.value) return [words.workingHint]
    if (!sent.value) return []
    const told = [words.sentTo(maskedMobile(mobile.value))]
    return late.value
      ? [...told, words.nothingCame, words.notTooOften]
      : [...told, words.notTooOften]
  })

  async function ask(): Promise<boolean> {
    if (sending.value || wait.value > 0) return false
    const number = mobile.value
    if (number === '') {
      fault.value = words.phoneFirst
      return false
    }
    fault.value = ''
    sending.value = true
    const call: SendCode =
      send() ??
      ((solution) =>
        clientOf(smsCodeService).sendSmsCode({
          phone: number,
          purpose: purpose(),
          deviceToken: deviceToken(),
          ...(solution === undefined ? {} : { solution }),
        }))
    try {
      const answer = await withChallenge(call, (atWork) => (working.value = atWork))
      codeSent(number, purpose(), answer.challengeId)
      if (answer.nextSendTime) waitsUntil(number, millisOf(answer.nextSendTime))
      if (number === mobile.value) challengeId.value = answer.challengeId
      waitForIt()
      return true
    } catch (thrown) {
      const failure = failureOf(thrown)
      if (failure.retryAt !== undefined) waitsUntil(number, failure.retryAt)
      fault.value = failure.fields['phone'] ?? failure.message
      return false
    } finally {
      sending.value = false
      now.value = serverNow()
    }
  }

  return { button, hints, fault, sending, wait, ask }
}

function clockTime(time: number): string {
  return new Intl.DateTimeFormat('zh-CN', {
    timeZone: 'Asia/Shanghai',
    hour: '2-digit',
    minute: '2-digit',
    hour12: false,
  }).format(time)
}
