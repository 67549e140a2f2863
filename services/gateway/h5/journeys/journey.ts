import type { Browser } from 'playwright-core'
import { inject, test as base } from 'vitest'

import { Driver } from './driver.ts'
import { launch, Phone, type Habits } from './phone.ts'

interface Kit {
  driver: Driver
  /** The phone of the person. */
  phone: Phone
  /** Gets another phone. */
  another: (habits?: Habits, gateway?: string) => Promise<Phone>
}

/** A test of what a person does. */
export const journey = base
  .extend<{ browser: Browser }>({
    browser: [
      async ({}, use) => {
        const browser = await launch()
        await use(browser)
        await browser.close()
      },
      { scope: 'file' },
    ],
  })
  .extend<Kit>({
    driver: async ({}, use) => use(new Driver(inject('gateway'), inject('simulator'))),
    another: async ({ browser, task, onTestFailed }, use) => {
      const phones: Phone[] = []
      let failed = false
      onTestFailed(() => {
        failed = true
      })
      await use(async (habits, gateway = inject('gateway')) => {
        const phone = await Phone.take(browser, gateway, habits)
        phones.push(phone)
        return phone
      })
      for (const [place, phone] of phones.entries()) {
        if (failed || task.result?.state === 'fail') {
          const path = await phone.picture(`${task.name}-${place + 1}`.replaceAll(/\W+/g, '-'))
          console.error(`the screen at the end: ${path}`)
        }
        await phone.putAway()
      }
    },
    phone: async ({ another }, use) => use(await another()),
  })
