import { expect, test } from 'vitest'

const sources = import.meta.glob(
  ['../**/*.{ts,vue}', '!../gen/**', '!./zh-CN/**', '!../**/*.test.ts'],
  {
    query: '?raw',
    import: 'default',
    eager: true,
  },
) as Record<string, string>

test('all Chinese that people read stands in the catalogue', () => {
  expect(Object.keys(sources).length).toBeGreaterThan(10)
  const elsewhere = Object.entries(sources)
    // What programmers read may name things as the field does.
    .map(([file, text]) => [file, text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|<!--[\s\S]*?-->/g, '')])
    .filter(([, text]) => /\p{Script=Han}/u.test(text ?? ''))
    .map(([file]) => file)
  expect(elsewhere).toEqual([])
})
