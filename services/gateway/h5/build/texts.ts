import type { Plugin } from 'vite'

const CATALOGUE = "import { texts } from '@/texts'"

/**
 * Makes the catalogue of texts a namespace where it is imported, so that what a page names is
 * known to the build, and each part goes to the pages that name it. (For all that Vue knows, a
 * plain import that a template names may be a ref, and is unwrapped as a whole.)
 */
export function catalogue(): Plugin {
  return {
    name: 'catalogue',
    apply: 'build',
    enforce: 'pre',
    transform(code, id) {
      if (id.includes('/src/texts/')) return { code, map: null, moduleSideEffects: false }
      if (!id.includes('/src/') || !code.includes(CATALOGUE)) return null
      return { code: code.replace(CATALOGUE, "import * as texts from '@/texts/zh-CN'"), map: null }
    },
  }
}
