import type { TestProject } from 'vitest/node'

import { BUILT, Suite } from './running.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the pages are. */
    gateway: string
    /** Where text messages can be read. */
    simulator: string
    /** The data folder of the suite. */
    data: string
  }
}

/** One suite for all journeys; it begins with nothing and leaves nothing. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const suite = await Suite.start()
  project.provide('gateway', suite.gateway)
  project.provide('simulator', suite.simulator)
  project.provide('data', suite.data)
  console.log(`the suite runs at ${suite.gateway}, with the pages of ${BUILT}`)
  return () => suite.end()
}
