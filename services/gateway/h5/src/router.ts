import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'

import { signedIn } from '@/api/session'
import { texts } from '@/texts'

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

router.afterEach((to) => {
  document.title = to.meta.title ?? texts.app.name
})
