import type { RouteRecordRaw } from 'vue-router'

import { texts } from '@/texts'

const { profile, me } = texts

/** The pages of who has signed in. */
export const mine: RouteRecordRaw[] = [
  { path: '/me', component: () => import('./MePage.vue'), meta: { title: me.title } },
  {
    path: '/me/profile/:chapter(basic|status|skills|services)',
    component: () => import('./profile/ProfilePage.vue'),
    props: true,
    meta: { title: profile.title },
  },
  {
    path: '/me/organization',
    component: () => import('./organization/OrganizationPage.vue'),
    meta: { title: me.organization.title },
  },
  {
    path: '/me/password',
    component: () => import('./credentials/PasswordPage.vue'),
    meta: { title: me.password.title },
  },
  {
    path: '/me/phone',
    component: () => import('./credentials/PhonePage.vue'),
    meta: { title: me.phone.title },
  },
  {
    path: '/me/sessions',
    component: () => import('./sessions/SessionsPage.vue'),
    meta: { title: me.sessions.title },
  },
  {
    path: '/me/consents',
    component: () => import('./consents/ConsentsPage.vue'),
    meta: { title: me.consents.title },
  },
  {
    path: '/me/looks',
    component: () => import('./looks/LooksPage.vue'),
    meta: { title: me.looks.title },
  },
  {
    path: '/me/notices',
    component: () => import('./notices/NoticesPage.vue'),
    meta: { title: me.notices.title },
  },
  {
    path: '/me/claims',
    component: () => import('./claims/ClaimsPage.vue'),
    meta: { title: me.claims.title },
  },
  {
    path: '/me/close',
    component: () => import('./closing/ClosePage.vue'),
    meta: { title: me.close.title },
  },
].map((route) => ({ ...route, meta: { ...route.meta, signedIn: true } }))
