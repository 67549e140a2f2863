import { compact } from '@/pieces/typing'

/** Whether it can be the end of an ID number. */
export function isTail(typed: string): boolean {
  return /^\d{5}[\dx]$/i.test(compact(typed))
}

/** Whether it can be the default password: the last 8 characters of an ID number. */
export function isDefaultPassword(typed: string): boolean {
  return /^\d{7}[\dx]$/i.test(compact(typed))
}
