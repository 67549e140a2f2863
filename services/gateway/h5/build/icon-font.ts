import type { Plugin } from 'vite'

const FONT =
  /src:url\(data:font\/woff2;charset=utf-8;base64,([A-Za-z0-9+/=]+)\) format\("woff2"\),url\([^)]*\) format\("woff"\)/

/**
 * Vant's icons are a font within its style sheet, and a second one from another host. The first
 * one becomes a file beside the others and the second one goes, so that nothing has to be allowed
 * that is not this site.
 */
export function iconFont(): Plugin {
  let building = false
  return {
    name: 'icon-font',
    enforce: 'pre',
    configResolved(config) {
      building = config.command === 'build'
    },
    transform(code, id) {
      if (!building || !id.includes('vant/es/icon/index.css')) return null
      const found = FONT.exec(code)
      if (found?.[1] === undefined) this.error('the icon font of Vant is not where it was')
      const file = this.emitFile({
        type: 'asset',
        name: 'icons.woff2',
        source: Buffer.from(found[1], 'base64'),
      })
      return code.replace(FONT, `src:url(__VITE_ASSET__${file}__) format("woff2")`)
    },
  }
}
