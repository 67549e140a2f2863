import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'

import { keep, kept } from '@/api/kept'
import { onOver, signedIn } from '@/api/session'
import { texts } from '@/texts'
import { mine } from './pages/me/routes'

declare module 'vue-router' {
  interface RouteMeta {
    /** What stands above the page. */
    title?: string
    /** For who has signed in only: others sign in first. */
    signedIn?: boolean
  }
}

const routes: RouteRecordRaw[] = [
  {
    path: '/',
    component: () => import('./pages/home/HomePage.vue'),
    meta: { title: texts.app.name },
  },
  {
    path: '/register',
    component: () => import('./pages/register/RegisterPage.vue'),
    meta: { title: texts.register.title },
  },
  {
    path: '/register/pending',
    component: () => import('./pages/register/PendingPage.vue'),
    meta: { title: texts.register.pending.title },
  },
  {
    path: '/register/done',
    component: () => import('./pages/register/DonePage.vue'),
    meta: { title: texts.register.done.title },
  },
  {
    path: '/sign-in',
    component: () => import('./pages/sign-in/SignInPage.vue'),
    meta: { title: texts.signIn.title },
  },
  {
    path: '/activate',
    component: () => import('./pages/activate/ActivatePage.vue'),
    meta: { title: texts.activate.title },
  },
  {
    path: '/reset-password',
    component: () => import('./pages/reset-password/ResetPasswordPage.vue'),
    meta: { title: texts.resetPassword.title },
  },
  {
    path: '/help',
    component: () => import('./pages/help/HelpPage.vue'),
    meta: { title: texts.help.title },
  },
  {
    path: '/help/contacts',
    component: () => import('./pages/help/ContactsPage.vue'),
    meta: { title: texts.help.contacts },
  },
  {
    path: '/help/:topic',
    component: () => import('./pages/help/GuidePage.vue'),
    props: true,
    meta: { title: texts.help.title },
  },
  {
    path: '/news',
    component: () => import('./pages/news/NewsPage.vue'),
    meta: { title: texts.news.title },
  },
  {
    path: '/news/:id',
    component: () => import('./pages/news/ArticlePage.vue'),
    props: true,
    meta: { title: texts.news.title },
  },
  {
    path: '/applications',
    component: () => import('./pages/applications/ApplicationsPage.vue'),
    meta: { title: texts.applications.title },
  },
  {
    path: '/applications/new',
    component: () => import('./pages/applications/NewApplicationPage.vue'),
    meta: { title: texts.applications.form.title, signedIn: true },
  },
  {
    path: '/applications/:id',
    component: () => import('./pages/applications/ApplicationPage.vue'),
    props: true,
    meta: { title: texts.applications.detail.title, signedIn: true },
  },
  {
    path: '/applications/:id/correction',
    component: () => import('./pages/applications/CorrectionPage.vue'),
    props: true,
    meta: { title: texts.applications.form.correctTitle, signedIn: true },
  },
  {
    path: '/lost-phone',
    component: () => import('./pages/lost-phone/LostPhonePage.vue'),
    meta: { title: texts.lostPhone.title },
  },
  {
    path: '/lost-phone/complete',
    component: () => import('./pages/lost-phone/CompletePage.vue'),
    meta: { title: texts.lostPhone.completion.title },
  },
  {
    path: '/lost-phone/object',
    component: () => import('./pages/lost-phone/ObjectPage.vue'),
    meta: { title: texts.lostPhone.objection.title },
  },
  {
    path: '/invitation',
    component: () => import('./pages/invitation/InvitationPage.vue'),
    meta: { title: texts.invitation.title },
  },
  ...mine,
  {
    path: '/account-closed',
    component: () => import('./pages/me/closing/ClosedPage.vue'),
    meta: { title: texts.me.closed.title },
  },
  {
    path: '/:rest(.*)*',
    component: () => import('./pages/NotFoundPage.vue'),
    meta: { title: texts.app.notFound },
  },
]

export const router = createRouter({
  history: createWebHistory(),
  routes,
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
})

router.beforeEach((to) => {
  if (to.meta.signedIn && !signedIn.value) {
    return { path: '/sign-in', query: { next: to.path }, replace: true }
  }
  return true
})

// Who ends the session on a page goes on from there; otherwise nothing of the person stays in view.
onOver((how) => {
  const { meta, path } = router.currentRoute.value
  if (how === 'left' || !meta.signedIn) return
  void router.replace({ path: '/sign-in', query: { next: path, told: 'over' } })
})

/** After a release the files of pages have other names: the page is loaded with the new ones, once. */
const RELOADED = 'zhiyuan.reloaded'
const ONCE_IN = 60_000

router.onError((_error, to) => {
  const last = Number(kept(RELOADED) ?? 0)
  // What is registered is shown in a way of its own.
  if (to.path.startsWith('/register/') || Math.abs(Date.now() - last) < ONCE_IN) return
  keep(RELOADED, String(Date.now()))
  location.assign(to.fullPath)
})

router.afterEach((to) => {
  document.title = to.meta.title ?? texts.app.name
})
