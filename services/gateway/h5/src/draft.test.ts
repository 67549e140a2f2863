import { beforeEach, expect, test } from 'vitest'

import { clearDraft, forgetOldDraft, loadDraft, saveDraft } from './draft'

const KEY = 'zhiyuan.register-draft'
const NOW = Date.parse('2026-12-01T04:00:00Z')
const HOUR = 3_600_000

beforeEach(() => localStorage.clear())

test('what was filled in is there again after a reload', () => {
  saveDraft({ form: { name: 'A' }, requestId: 'r' }, NOW)
  expect(loadDraft(NOW + HOUR)).toEqual({ form: { name: 'A' }, requestId: 'r' })
})

test('it goes after a day, at the next start of the pages', () => {
  saveDraft({ form: { name: 'A' } }, NOW)
  forgetOldDraft(NOW + 23 * HOUR)
  expect(localStorage.getItem(KEY)).not.toBeNull()
  forgetOldDraft(NOW + 24 * HOUR)
  expect(localStorage.getItem(KEY)).toBeNull()
})

test('one from a clock that is days ahead goes too', () => {
  saveDraft({ form: { name: 'A' } }, NOW + 72 * HOUR)
  expect(loadDraft(NOW)).toBeUndefined()
  expect(localStorage.getItem(KEY)).toBeNull()
})

test('what is of another version or not ours goes', () => {
  for (const text of ['{"version":0,"savedAt":1,"form":{}}', 'null', '{', '"a"', '{"form":1}']) {
    localStorage.setItem(KEY, text)
    expect(loadDraft(NOW)).toBeUndefined()
    expect(localStorage.getItem(KEY)).toBeNull()
  }
})

test('it can be forgotten', () => {
  saveDraft({ form: { name: 'A' } }, NOW)
  clearDraft()
  expect(loadDraft(NOW)).toBeUndefined()
})
