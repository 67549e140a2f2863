import { compact } from '@/pieces/typing'

/** GB 32100-2015: digits and capital letters without those that look like digits. */
const ALPHABET = '0123456789ABCDEFGHJKLMNPQRTUWXY'
/** What each of the first 17 characters counts: 3 to the power of its place, modulo 31. */
const WEIGHTS = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28]
/** GB 11714: the same of the organization's code within it. */
const BODY_WEIGHTS = [3, 7, 9, 10, 5, 8, 4, 2]

/** What is wrong with a unified social credit code (统一社会信用代码). */
export type CreditCodeFault = 'length' | 'characters' | 'body' | 'checksum'

/** A code in the spelling of the standard. */
export function creditCodeOf(typed: string): string {
  return compact(typed).toUpperCase()
}

/** Checks a code with both of its check characters. */
export function creditCodeFault(typed: string): CreditCodeFault | undefined {
  const code = creditCodeOf(typed)
  if ([...code].length !== 18) return 'length'
  const values = [...code].map((character) => ALPHABET.indexOf(character))
  if (values.includes(-1) || !/^\d{6}$/.test(code.slice(2, 8))) return 'characters'
  if (bodyCheck(code.slice(8, 16)) !== code[16]) return 'body'
  const sum = WEIGHTS.reduce((sum, weight, place) => sum + weight * (values[place] ?? 0), 0)
  return values[17] === (31 - (sum % 31)) % 31 ? undefined : 'checksum'
}

/** The check character of an organization's code: modulo 11, over digits and all letters. */
function bodyCheck(body: string): string {
  const sum = BODY_WEIGHTS.reduce(
    (sum, weight, place) => sum + weight * Number.parseInt(body[place] ?? '0', 36),
    0,
  )
  return '0123456789X0'.charAt(11 - (sum % 11))
}
