import { readFileSync } from 'node:fs'

import type { Plugin } from 'vite'

const GENERATED = /\/src\/gen\/.*_pb\.ts$/
const ENUM = /^export enum \w+ \{\n[^]*?^\}\n/gm
const NAME = /^export enum (\w+)/

/**
 * A generated file describes its messages for the calls, and has the enums that pages need for
 * what they show. Each file's enums become a module of their own here, so that a page which knows
 * a word of a contract doesn't wait for all that calls are made with.
 */
export function enums(): Plugin {
  return {
    name: 'enums',
    apply: 'build',
    enforce: 'pre',
    resolveId(source, importer) {
      return source.startsWith('enums-of:') && importer !== undefined
        ? importer.replace(/\.ts$/, '.enums.ts')
        : null
    },
    load(id) {
      if (!id.endsWith('_pb.enums.ts')) return null
      const whole = readFileSync(id.replace('.enums.ts', '.ts'), 'utf8')
      return { code: (whole.match(ENUM) ?? []).join('\n'), moduleSideEffects: false }
    },
    transform(code, id) {
      if (!GENERATED.test(id)) return null
      const names = (code.match(ENUM) ?? []).map((found) => NAME.exec(found)?.[1])
      const list = names.join(', ')
      const rest = names.length === 0 ? '' : `\nexport { ${list} } from 'enums-of:here'\n`
      return { code: code.replace(ENUM, '') + rest, map: null, moduleSideEffects: false }
    },
  }
}
