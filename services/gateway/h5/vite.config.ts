import { fileURLToPath } from 'node:url'

import vue from '@vitejs/plugin-vue'
import { VantResolver } from '@vant/auto-import-resolver'
import components from 'unplugin-vue-components/vite'
import { defineConfig } from 'vite'

import { compress } from './build/compress.ts'
import { iconFont } from './build/icon-font.ts'

/** Where `npm run dev` finds the suite: `cargo run`. */
const suite = process.env.ZHIYUAN_GATEWAY ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [
    iconFont(),
    vue(),
    components({ dirs: [], resolvers: [VantResolver()], dts: 'src/gen/components.d.ts' }),
    compress(),
  ],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    // Phones of 2022, and the browser inside WeChat.
    target: ['chrome93', 'safari15.4'],
    // A file within another one would need `data:` in the policy of the pages.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  // With the host that the page has: the gateway refuses what looks like another site.
  server: { proxy: { '^/zhiyuan\\.': { target: suite, changeOrigin: false } } },
})
