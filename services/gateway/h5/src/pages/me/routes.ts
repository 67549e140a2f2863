import type { RouteRecordRaw } from 'vue-router'

/** The pages of who has signed in. */
export const mine: RouteRecordRaw[] = [
  { path: '/me', component: () => import('./MePage.vue') },
  {
    path: '/me/profile/:chapter(basic|status|skills|services)',
    component: () => import('./profile/ProfilePage.vue'),
    props: true,
  },
  {
    path: '/me/organization',
    component: () => import('./organization/OrganizationPage.vue'),
  },
  {
    path: '/me/password',
    component: () => import('./credentials/PasswordPage.vue'),
  },
  {
    path: '/me/phone',
    component: () => import('./credentials/PhonePage.vue'),
  },
  {
    path: '/me/sessions',
    component: () => import('./sessions/SessionsPage.vue'),
  },
  {
    path: '/me/consents',
    component: () => import('./consents/ConsentsPage.vue'),
  },
  {
    path: '/me/looks',
    component: () => import('./looks/LooksPage.vue'),
  },
  {
    path: '/me/notices',
    component: () => import('./notices/NoticesPage.vue'),
  },
  {
    path: '/me/claims',
    component: () => import('./claims/ClaimsPage.vue'),
  },
  {
    path: '/me/close',
    component: () => import('./closing/ClosePage.vue'),
  },
].map((route) => ({ ...route, meta: { signedIn: true } }))
