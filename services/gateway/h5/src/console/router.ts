import { createRouter, createWebHistory } from 'vue-router'

import OwnOrganizations from './OwnOrganizations.vue'

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/console', component: OwnOrganizations },
    {
      path: '/console/:code',
      component: () => import('./dashboard/DashboardPage.vue'),
      props: true,
    },
    { path: '/console/:rest(.*)*', redirect: '/console' },
    // The pages of the phone are another program.
    {
      path: '/:rest(.*)*',
      component: OwnOrganizations,
      beforeEnter: (to) => {
        location.assign(to.fullPath)
        return false
      },
    },
  ],
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
})
