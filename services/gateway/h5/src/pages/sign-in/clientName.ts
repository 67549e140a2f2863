import { texts } from '@/texts'

/** What a device is called in the list of sessions. */
export function clientName(userAgent: string): string {
  return /MicroMessenger/i.test(userAgent) ? texts.signIn.wechat : texts.signIn.browser
}
