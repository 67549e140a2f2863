import { app } from './app'
import { failure } from './failure'
import { home } from './home'
import { pieces } from './pieces'
import { register } from './register'

export const zhCN = { app, failure, home, pieces, register }
