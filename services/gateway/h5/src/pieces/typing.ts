/** Full-width letters and digits as half-width ones, without white space. */
export function compact(typed: string): string {
  return typed
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/\s+/g, '')
}

/** The 11 digits of a mobile number, however it was typed; empty if it is none. */
export function mobileOf(typed: string): string {
  const digits = compact(typed).replace(/[-()]/g, '')
  return /^(?:\+86|0086|86)?(1[3-9]\d{9})$/.exec(digits)?.[1] ?? ''
}

/** A mobile number with its middle hidden. */
export function maskedMobile(mobile: string): string {
  return `${mobile.slice(0, 3)}****${mobile.slice(7)}`
}

/** A number as it is read out: `340122 0000 00011`. */
export function grouped(volunteerNumber: string): string {
  return volunteerNumber.replace(/^(\d{6})(\d{4})(\d{5})$/, '$1 $2 $3')
}
