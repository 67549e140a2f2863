import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { Form } from './form.ts'
import { journey } from './journey.ts'
import { adult } from './people.ts'

const FOLDER = join(import.meta.dirname, '../screenshots')

/** Pictures for the README, made by `npm run screenshots` and looked at; not by CI. */
journey.skipIf(process.env['ZHIYUAN_SCREENSHOTS'] !== '1')(
  'pictures of the form, the card and the own page',
  async ({ another, driver }) => {
    mkdirSync(FOLDER, { recursive: true })
    const phone = await another({ scale: 1.2 })
    const picture = async (name: string) => {
      await phone.page.evaluate(() => window.scrollTo(0, 0))
      await phone.page.screenshot({ path: join(FOLDER, `${name}.png`) })
    }
    const form = new Form(phone, driver)
    await form.open()
    await form.fill({ ...adult(), name: '张晓明' })
    await picture('register')
    await form.submit()
    await form.card()
    await picture('done')
    await phone.button('登录并完善个人资料').click()
    await phone.page.waitForURL(/\/me/)
    await phone.open('/me')
    await phone.page.getByRole('img', { name: /二维码/ }).waitFor()
    await phone.reads('安徽省 合肥市 肥东县')
    await picture('me')
  },
)
