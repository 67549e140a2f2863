import { reactive } from 'vue'

import type { SmsPurpose } from '@/gen/zhiyuan/identity/v1/sms_code_pb'

/*
 * Which codes were sent from this page. It is kept outside of the fields, so that a field that is
 * made anew goes on where it was, and nowhere else: a phone is personal data.
 */

interface Sent {
  challengeId: string
}

const challenges = reactive(new Map<string, Sent>())
/** When each phone may get its next code, by the server's clock in milliseconds. */
const nextSend = reactive(new Map<string, number>())

const keyOf = (phone: string, purpose: SmsPurpose) => `${purpose}:${phone}`

/** The challenge whose code the phone got last for this purpose; empty if none. */
export function challengeOf(phone: string, purpose: SmsPurpose): string {
  return challenges.get(keyOf(phone, purpose))?.challengeId ?? ''
}

/** A code is on its way. */
export function codeSent(phone: string, purpose: SmsPurpose, challengeId: string): void {
  challenges.set(keyOf(phone, purpose), { challengeId })
}

/** When the phone may get its next code, whatever for; 0 if at once. */
export function nextSendOf(phone: string): number {
  return nextSend.get(phone) ?? 0
}

/** The phone may get its next code then. */
export function waitsUntil(phone: string, time: number): void {
  nextSend.set(phone, time)
}
