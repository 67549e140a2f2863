import { createApp } from 'vue'

import '../style/base.css'
import '../style/forms.css'
import ConsoleApp from './ConsoleApp.vue'
import { router } from './router'

createApp(ConsoleApp).use(router).mount('#app')
