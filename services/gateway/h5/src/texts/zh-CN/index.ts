import { activate } from './activate'
import { app } from './app'
import { applications } from './applications'
import { contacts } from './contacts'
import { failure } from './failure'
import { help } from './help'
import { home } from './home'
import { invitation } from './invitation'
import { lostPhone } from './lost-phone'
import { me } from './me'
import { news } from './news'
import { pieces } from './pieces'
import { profile } from './profile'
import { register } from './register'
import { resetPassword } from './reset-password'
import { signIn } from './sign-in'

export const zhCN = {
  activate,
  app,
  applications,
  contacts,
  failure,
  help,
  home,
  invitation,
  lostPhone,
  me,
  news,
  pieces,
  profile,
  register,
  resetPassword,
  signIn,
}
