import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'

import { VolunteerSchema } from '@/gen/zhiyuan/registration/v1/registration_pb'
import { hasCredentials, registered, registeredVolunteer } from './outcome'

const one = create(VolunteerSchema, { id: 'one' })
const another = create(VolunteerSchema, { id: 'another' })

test('who is registered after somebody else signs in as nobody else', () => {
  registered(one, 'first', { identifier: '13800000001', password: 'of-the-first' })
  expect(hasCredentials()).toBe(true)
  registered(another, 'second', undefined)
  expect(hasCredentials()).toBe(false)
})

test('a page of an earlier registration shows no later one', () => {
  registered(one, 'first', undefined)
  registered(another, 'second', undefined)
  expect(registeredVolunteer('first')).toBeUndefined()
  expect(registeredVolunteer(undefined)).toBeUndefined()
  expect(registeredVolunteer('second')).toBe(another)
})
