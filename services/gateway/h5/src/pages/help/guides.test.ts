import { expect, test } from 'vitest'

import { router } from '@/router'
import { texts } from '@/texts'
import { guides } from '@/texts/zh-CN/guides'

const listed = texts.help.groups.flatMap(({ topics }) => topics)

test('every guide is listed once, and everything listed is there', () => {
  expect([...listed].sort()).toEqual(Object.keys(guides).sort())
})

test('no guide leads to a page that is not there', () => {
  const links = Object.values(guides).flatMap(({ links }) => links ?? [])
  for (const { to } of links) expect(router.resolve(to).matched[0]?.path, to).not.toMatch(/:rest/)
})
