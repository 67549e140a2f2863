import { compact } from '@/pieces/typing'

/** What is wrong with an ID number, as far as it can be told by looking at it. */
export type IdNumberFault =
  'length' | 'characters' | 'legacy' | 'birthDate' | 'birthDateInFuture' | 'checksum'

/** An ID number as it was typed. What the suite says counts; this only says it sooner. */
export interface IdNumber {
  /** As the suite wants it. */
  text: string
  fault: IdNumberFault | undefined
  /** In completed years; known once there is a date of birth. */
  age: number | undefined
}

const WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
const CHECK_CHARACTERS = '10X98765432'

/** Reads an ID number; `today` is the day in Asia/Shanghai, `2026-12-01`. */
export function readIdNumber(typed: string, today: string): IdNumber {
  const text = compact(typed).toUpperCase()
  const at = (fault: IdNumberFault, age?: number): IdNumber => ({ text, fault, age })
  if (/^\d{15}$/.test(text)) return at('legacy')
  if (text.length !== 18) return at('length')
  if (!/^[1-9]\d{16}[\dX]$/.test(text)) return at('characters')
  const birth = `${text.slice(6, 10)}-${text.slice(10, 12)}-${text.slice(12, 14)}`
  if (!isDate(birth) || birth < '1900-01-01') return at('birthDate')
  if (birth > today) return at('birthDateInFuture')
  const age = ageOn(birth, today)
  if (checkCharacter(text) !== text[17]) return at('checksum', age)
  return { text, fault: undefined, age }
}

/** The check character that follows the first 17 digits (ISO 7064 MOD 11-2). */
export function checkCharacter(text: string): string {
  const sum = WEIGHTS.reduce((total, weight, place) => total + weight * Number(text[place]), 0)
  return CHECK_CHARACTERS[sum % 11] ?? ''
}

/** The age in completed years; who was born on 29 February completes one on 1 March. */
export function ageOn(birth: string, day: string): number {
  const years = Number(day.slice(0, 4)) - Number(birth.slice(0, 4))
  return day.slice(5) < birth.slice(5) ? years - 1 : years
}

/** What an age means for registering (中国注册志愿者管理办法). */
export type AgeClass = 'tooYoung' | 'minor' | 'workingAge' | 'adult'

/** Which class an age is in. */
export function classOf(age: number): AgeClass {
  if (age < 14) return 'tooYoung'
  if (age < 16) return 'minor'
  return age < 18 ? 'workingAge' : 'adult'
}

/** The day in Asia/Shanghai, which has no summer time. */
export function shanghaiDay(time: number): string {
  return new Date(time + 8 * 3_600_000).toISOString().slice(0, 10)
}

function isDate(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
}
