import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'

import { onOver, signedIn } from '@/api/session'
import { mine } from './pages/me/routes'
import { mayReload } from './reloading'

declare module 'vue-router' {
  interface RouteMeta {
    /** For who has signed in only: others sign in first. */
    signedIn?: boolean
  }
}

const routes: RouteRecordRaw[] = [
  { path: '/', component: () => import('./pages/home/HomePage.vue') },
  { path: '/register', component: () => import('./pages/register/RegisterPage.vue') },
  { path: '/register/pending', component: () => import('./pages/register/PendingPage.vue') },
  { path: '/register/done', component: () => import('./pages/register/DonePage.vue') },
  { path: '/sign-in', component: () => import('./pages/sign-in/SignInPage.vue') },
  { path: '/activate', component: () => import('./pages/activate/ActivatePage.vue') },
  {
    path: '/reset-password',
    component: () => import('./pages/reset-password/ResetPasswordPage.vue'),
  },
  { path: '/help', component: () => import('./pages/help/HelpPage.vue') },
  { path: '/help/contacts', component: () => import('./pages/help/ContactsPage.vue') },
  {
    path: '/help/:topic',
    component: () => import('./pages/help/GuidePage.vue'),
    props: true,
  },
  { path: '/news', component: () => import('./pages/news/NewsPage.vue') },
  { path: '/news/:id', component: () => import('./pages/news/ArticlePage.vue'), props: true },
  { path: '/applications', component: () => import('./pages/applications/ApplicationsPage.vue') },
  {
    path: '/applications/new',
    component: () => import('./pages/applications/NewApplicationPage.vue'),
    meta: { signedIn: true },
  },
  {
    path: '/applications/:id',
    component: () => import('./pages/applications/ApplicationPage.vue'),
    props: true,
    meta: { signedIn: true },
  },
  {
    path: '/applications/:id/correction',
    component: () => import('./pages/applications/CorrectionPage.vue'),
    props: true,
    meta: { signedIn: true },
  },
  { path: '/lost-phone', component: () => import('./pages/lost-phone/LostPhonePage.vue') },
  { path: '/lost-phone/complete', component: () => import('./pages/lost-phone/CompletePage.vue') },
  { path: '/lost-phone/object', component: () => import('./pages/lost-phone/ObjectPage.vue') },
  { path: '/invitation', component: () => import('./pages/invitation/InvitationPage.vue') },
  ...mine,
  { path: '/account-closed', component: () => import('./pages/me/closing/ClosedPage.vue') },
  { path: '/:rest(.*)*', component: () => import('./pages/NotFoundPage.vue') },
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

// After a release the files of pages have other names: the page is loaded with the new ones.
router.onError((_error, to) => {
  // What is registered is shown in a way of its own.
  if (to.path.startsWith('/register/') || !mayReload()) return
  location.assign(to.fullPath)
})
