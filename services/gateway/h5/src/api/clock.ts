import type { Timestamp } from '@bufbuild/protobuf/wkt'

/** How far the clock of the server is ahead of this one, in milliseconds. */
let ahead = 0

/** Sets the clock by the `date` of an answer, which is exact to a second. */
export function setByAnswer(date: string | null): void {
  const server = date === null ? Number.NaN : Date.parse(date)
  if (!Number.isNaN(server)) ahead = server - Date.now()
}

/** What time it is at the server, in milliseconds: phones are often minutes off. */
export function serverNow(): number {
  return Date.now() + ahead
}

/** A time of the contract in milliseconds. */
export function millisOf({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * 1000 + Math.ceil(nanos / 1e6)
}
