import { fileURLToPath } from 'node:url'

import vue from '@vitejs/plugin-vue'
import { VantResolver } from '@vant/auto-import-resolver'
import components from 'unplugin-vue-components/vite'
import { defineConfig } from 'vite'

import { compress } from './build/compress.ts'
import { enums } from './build/enums.ts'
import { firstPages } from './build/first-pages.ts'
import { iconFont } from './build/icon-font.ts'
import { catalogue } from './build/texts.ts'

/** Where `npm run dev` finds the suite: `cargo run`. */
const suite = process.env.ZHIYUAN_GATEWAY ?? 'http://127.0.0.1:8080'

const VUE = /node_modules\/(@vue|vue|vue-router)\//
/** How calls are made, and what the first pages call: loaded with the first call. */
const CALLS =
  /node_modules\/(@connectrpc|@bufbuild)\/|src\/gen\/(google|zhiyuan\/access)\/|src\/gen\/zhiyuan\/\w+\/v1\/(challenge|consent|guardian|organization|region|registration|sign_in|sms_code)_pb\.ts|src\/api\/(alone|connecting|refused|renewing)\.ts/
/** What every page has. */
const FRAME =
  /vite\/preload-helper|plugin-vue:export-helper|node_modules\/(@vant\/use|vant\/es\/(badge|button|composables|config-provider|icon|loading|locale|nav-bar|style|utils))\/|src\/pieces\/(PageFrame|media)|src\/api\/(clock|failure|kept|session)\.ts|src\/draft\.ts|register\/waiting\.ts|src\/texts\/zh-CN\/(app|failure)\.ts/
/** What forms have. */
const FORM =
  /vant\/es\/(overlay|popup)\/|src\/pieces\/(?!CopyButton|copying|VolunteerCard)|me\/ConfirmSheet|register\/(WholeNotice|settle|outcome|activation)|src\/api\/(challenge|requestId|services|submission|transport)\.ts|src\/texts\/zh-CN\/(contacts|pieces)\.ts|(sms_code|organization)_pb\.enums\.ts/

export default defineConfig({
  plugins: [
    catalogue(),
    enums(),
    iconFont(),
    vue(),
    components({ dirs: [], resolvers: [VantResolver()], dts: 'src/gen/components.d.ts' }),
    firstPages(),
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
    rolldownOptions: {
      // Two programs: the pages of the phone, and what administrators see.
      input: { index: 'index.html', console: 'console/index.html' },
      output: {
        // A file for each thing that pages share would be forty of them, and over HTTP/1.1 a browser
        // gets six at a time. These are what most pages need; a group stands on those above it.
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [
            { name: 'vue', test: VUE, priority: 4 },
            { name: 'calls', test: CALLS, priority: 3 },
            { name: 'frame', test: FRAME, priority: 2 },
            { name: 'form', test: FORM, priority: 1 },
          ],
        },
      },
    },
  },
  // With the host that the page has: the gateway refuses what looks like another site.
  server: { proxy: { '^/zhiyuan\\.': { target: suite, changeOrigin: false } } },
})
