import { app } from './app'
import { failure } from './failure'
import { pieces } from './pieces'

export const zhCN = { app, failure, pieces }
