import { expect, test } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'

import { nextPath } from './next'

const component = { render: () => null }
const router = createRouter({
  history: createMemoryHistory(),
  routes: [
    ...['/', '/sign-in', '/me', '/me/sessions', '/help'].map((path) => ({ path, component })),
    { path: '/:rest(.*)*', component },
  ],
})
const next = (asked: unknown) => nextPath(asked, router)

test('goes on to the page that was asked for', () => {
  expect(next('/me/sessions')).toBe('/me/sessions')
  expect(next('/help')).toBe('/help')
  expect(next('/')).toBe('/')
})

test.each([
  undefined,
  null,
  '',
  ['/me/sessions'],
  'me/sessions',
  'https://example.com/',
  '//example.com',
  '//example.com/me',
  '/\\example.com',
  '\\/example.com',
  '/me\\..\\example.com',
  '/\t/example.com',
  '/\n/example.com',
  ' /me/sessions',
  '/.//example.com',
  'javascript:alert(1)',
  'data:text/html,x',
  '/no/such/page',
  '/sign-in',
  '/sign-in?next=/me/sessions',
])('goes to the own page instead of %j', (asked) => {
  expect(next(asked)).toBe('/me')
})
