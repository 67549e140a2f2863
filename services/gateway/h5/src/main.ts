import { createApp } from 'vue'

import App from './App.vue'
import { forgetOldDraft } from './draft'
import { router } from './router'
import './style/base.css'
import './style/forms.css'

forgetOldDraft()
createApp(App).use(router).mount('#app')
