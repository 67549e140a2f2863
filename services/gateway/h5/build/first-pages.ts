import type { OutputChunk } from 'rolldown'
import type { Plugin } from 'vite'

/**
 * The pages that people open first, each by the first part of its address, and the file that shows
 * it. The gateway answers `/register/done` with `register/index.html` too.
 */
export const FIRST_PAGES: Record<string, string> = {
  '': 'home/HomePage.vue',
  register: 'register/RegisterPage.vue',
  'sign-in': 'sign-in/SignInPage.vue',
  activate: 'activate/ActivatePage.vue',
  'reset-password': 'reset-password/ResetPasswordPage.vue',
  help: 'help/HelpPage.vue',
  news: 'news/NewsPage.vue',
  applications: 'applications/ApplicationsPage.vue',
  'lost-phone': 'lost-phone/LostPhonePage.vue',
  invitation: 'invitation/InvitationPage.vue',
  me: 'me/MePage.vue',
  'account-closed': 'me/closing/ClosedPage.vue',
}

/**
 * Gives each of them an `index.html` of its own that names all files of the page. A browser learns
 * of them from the first answer, instead of from a script that another script has loaded: on a slow
 * network each of these steps is a fifth of a second and more.
 */
export function firstPages(): Plugin {
  return {
    name: 'first-pages',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const html = bundle['index.html']
        if (html?.type !== 'asset') return this.error('there is no index.html')
        const plain = String(html.source)
        const chunks = Object.values(bundle).filter((file) => file.type === 'chunk')
        for (const [folder, page] of Object.entries(FIRST_PAGES)) {
          const chunk = chunks.find(({ moduleIds }) =>
            moduleIds.some((id) => id.endsWith(`/src/pages/${page}`)),
          )
          if (chunk === undefined) return this.error(`no file of the build shows ${page}`)
          const links = filesOf(chunk, bundle)
            .filter((file) => !plain.includes(`/${file}"`))
            .map((file) =>
              file.endsWith('.css')
                ? `<link rel="stylesheet" crossorigin href="/${file}">`
                : `<link rel="modulepreload" crossorigin href="/${file}">`,
            )
          const source = plain.replace('</head>', `  ${links.join('\n    ')}\n  </head>`)
          if (folder === '') html.source = source
          else this.emitFile({ type: 'asset', fileName: `${folder}/index.html`, source })
        }
      },
    },
  }
}

/** A script, its styles, and all that it can't run without. */
function filesOf(chunk: OutputChunk, bundle: Record<string, unknown>): string[] {
  const files = new Set<string>()
  const add = (one: OutputChunk): void => {
    if (files.has(one.fileName)) return
    files.add(one.fileName)
    one.viteMetadata?.importedCss.forEach((style) => files.add(style))
    for (const name of one.imports) {
      const next = bundle[name] as OutputChunk | undefined
      if (next !== undefined) add(next)
    }
  }
  add(chunk)
  return [...files]
}
