/**
 * All that people read, in one catalogue: `src/texts/zh-CN`, a file for each part of the pages. A
 * text that depends on something is a function. `src/texts/catalogue.test.ts` refuses Chinese
 * anywhere else. Each page loads the parts that it names, since this is no object but a module.
 */
export * as texts from './zh-CN'
