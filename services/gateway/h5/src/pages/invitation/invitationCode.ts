import { compact } from '@/pieces/typing'

/** The eight letters and digits of a code, however it was typed; empty if it is none. */
export function invitationCodeOf(typed: string): string {
  const code = compact(typed)
    .replace(/[-\u2010-\u2015]/g, '')
    .toUpperCase()
  return /^[0-9A-Z]{8}$/.test(code) ? code : ''
}

/** A number as it is read out: `123 456`. */
export function readOut(checkNumber: string): string {
  return checkNumber.replace(/^(\d{3})(\d{3})$/, '$1 $2')
}
