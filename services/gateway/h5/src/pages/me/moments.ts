import { timestampMs, type Timestamp } from '@bufbuild/protobuf/wkt'

const day = { timeZone: 'Asia/Shanghai', year: 'numeric', month: 'long', day: 'numeric' } as const
const dates = new Intl.DateTimeFormat('zh-CN', day)
const times = new Intl.DateTimeFormat('zh-CN', {
  ...day,
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
})

/** A day in Anhui, wherever the phone is; empty if there is none. */
export function dateOf(time: Timestamp | undefined): string {
  return time === undefined ? '' : dates.format(timestampMs(time))
}

/** A moment in Anhui, to the minute; empty if there is none. */
export function timeOf(time: Timestamp | undefined): string {
  return time === undefined ? '' : times.format(timestampMs(time))
}
