import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

import type { Plugin } from 'vite'

/** What gets smaller; pictures and fonts are packed as they are. */
const TEXT = /\.(html|js|mjs|css|json|map|webmanifest|svg|txt|xml)$/

/** Puts each text beside itself as the gateway serves it: `.br` and `.gz`, where that is smaller. */
export function compress(): Plugin {
  let folder = 'dist'
  return {
    name: 'compress',
    apply: 'build',
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir)
    },
    // The files of `public/` are copied before the first one is written.
    writeBundle: {
      order: 'post',
      sequential: true,
      handler() {
        for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
          if (!TEXT.test(name)) continue
          const plain = readFileSync(join(folder, name))
          const packed = {
            br: brotliCompressSync(plain, {
              params: {
                [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
                [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
                [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
              },
            }),
            gz: gzipSync(plain, { level: constants.Z_BEST_COMPRESSION }),
          }
          for (const [suffix, content] of Object.entries(packed)) {
            if (content.length < plain.length) {
              writeFileSync(join(folder, `${name}.${suffix}`), content)
            }
          }
        }
      },
    },
  }
}
