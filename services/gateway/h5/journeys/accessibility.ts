import axe from 'axe-core'
import { expect } from 'vitest'

import type { Phone } from './phone.ts'

interface Violation {
  id: string
  help: string
  nodes: { html: string }[]
}

/** What a screen reader needs is there: labels, names of buttons, contrast, an order of headings. */
export async function expectAccessible(phone: Phone, what: string): Promise<void> {
  // By the debugger, which the policy of the pages doesn't concern.
  await phone.page.evaluate(axe.source)
  const violations = await phone.page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run(options: object): Promise<{ violations: Violation[] }> }
    }
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']
    // Axe itself calls this one an experiment.
    const rules = { 'label-content-name-mismatch': { enabled: false } }
    return (await axe.run({ runOnly: tags, rules })).violations
  })
  const told = violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html }) => `${id} (${help}): ${html.slice(0, 200)}`),
  )
  expect(told, what).toEqual([])
}

/** Nothing sticks out at the side. */
export async function expectNoWider(phone: Phone, what: string): Promise<void> {
  const wider = await phone.page.evaluate(() => {
    const width = document.documentElement.clientWidth
    if (document.documentElement.scrollWidth <= width) return []
    return [...document.querySelectorAll('body *')]
      .filter((element) => element.getBoundingClientRect().right > width + 1)
      .map((element) => element.outerHTML.slice(0, 160))
      .slice(0, 5)
  })
  expect(wider, what).toEqual([])
}
