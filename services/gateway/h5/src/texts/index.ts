/**
 * All that people read, in one catalogue: `src/texts/zh-CN`, a file for each part of the pages. A
 * text that depends on something is a function. `src/texts/catalogue.test.ts` refuses Chinese
 * anywhere else.
 */
export { zhCN as texts } from './zh-CN'
