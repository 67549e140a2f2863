import { app } from './app'
import { failure } from './failure'

export const zhCN = { app, failure }
