import { compact, mobileOf } from './typing'

/** What the suite wants of a password, as far as can be told while it is typed. */
export interface PasswordRule {
  length: boolean
  notDigits: boolean
  /** `undefined` while nothing is known that could be part of it. */
  notPersonal: boolean | undefined
}

/** As many characters in a row that are those of a number are part of it. */
const RUN = 6

/** Judges a password as the suite will, but for the most common ones, which it alone knows. */
export function judge(password: string, phone: string, idNumber: string): PasswordRule {
  const count = [...password].length
  const folded = compact(password).toLowerCase()
  const mobile = mobileOf(phone)
  const details = [compact(idNumber).toLowerCase(), mobile === '' ? '' : `+86${mobile}`]
  const known = details.filter((detail) => detail.length >= RUN)
  return {
    length: count >= 6 && count <= 16,
    notDigits: password !== '' && !/^\d+$/.test(folded),
    notPersonal:
      known.length === 0 || password === ''
        ? undefined
        : !known.some((detail) => runs(detail).some((run) => folded.includes(run))),
  }
}

/** Whether nothing is known to be wrong. */
export function isGood({ length, notDigits, notPersonal }: PasswordRule): boolean {
  return length && notDigits && notPersonal !== false
}

function runs(detail: string): string[] {
  return Array.from({ length: detail.length - RUN + 1 }, (_, start) =>
    detail.slice(start, start + RUN),
  )
}
