import { Code, ConnectError } from '@connectrpc/connect'

import {
  BadRequestSchema,
  ErrorInfoSchema,
  LocalizedMessageSchema,
  RetryInfoSchema,
} from '@/gen/google/rpc/error_details_pb'
import { texts } from '@/texts'
import { serverNow } from './clock'
import type { Failure } from './failure'

/** Reasons of which nobody knows whether the call was carried out. */
const UNCERTAIN = new Set([
  Code.Unknown,
  Code.Canceled,
  Code.DeadlineExceeded,
  Code.Unavailable,
  Code.Internal,
  Code.Aborted,
])

/**
 * Reasons for which a call was not looked at at all: an earlier one with the same id, whose answer
 * was lost, may be done all the same.
 */
const NOT_LOOKED_AT = new Set([
  'OVERLOADED',
  'QUOTA_EXHAUSTED',
  'UNAUTHENTICATED',
  'TOKEN_INVALID',
  'SECOND_FACTOR_REQUIRED',
  'CHALLENGE_REQUIRED',
])

/** The error of a call, with the failure that pages read from it. */
export function refused(thrown: unknown): ConnectError & { failure: Failure } {
  const error = ConnectError.from(thrown)
  return Object.assign(error, { failure: read(error) })
}

function read(error: ConnectError): Failure {
  const info = error.findDetails(ErrorInfoSchema)[0]
  const said = error.findDetails(LocalizedMessageSchema)[0]?.message
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay
  const fields: Record<string, string> = {}
  for (const { fieldViolations } of error.findDetails(BadRequestSchema)) {
    for (const { field, localizedMessage, description } of fieldViolations) {
      fields[field] ??= localizedMessage?.message || description
    }
  }
  const answered = info !== undefined
  return {
    reason: info?.reason ?? (isNetwork(error) ? 'NETWORK' : 'UNKNOWN'),
    message: said ?? (isNetwork(error) ? texts.failure.network : texts.failure.unknown),
    fields,
    retryAt:
      delay === undefined
        ? undefined
        : serverNow() + Number(delay.seconds) * 1000 + Math.ceil(delay.nanos / 1e6),
    metadata: info?.metadata ?? {},
    certain: answered && !UNCERTAIN.has(error.code) && !NOT_LOOKED_AT.has(info.reason),
    traceId: error.metadata.get('x-trace-id') ?? '',
  }
}

function isNetwork(error: ConnectError): boolean {
  return (
    error.cause instanceof TypeError ||
    error.code === Code.DeadlineExceeded ||
    error.code === Code.Unavailable ||
    error.code === Code.Canceled
  )
}
