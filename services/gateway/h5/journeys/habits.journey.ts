import { expect } from 'vitest'

import { expectAccessible, expectNoWider } from './accessibility.ts'
import { Form } from './form.ts'
import { journey } from './journey.ts'
import { adult } from './people.ts'

const PUBLIC = [
  '/',
  '/register',
  '/sign-in',
  '/activate',
  '/reset-password',
  '/help',
  '/help/contacts',
]
const MINE = [
  '',
  '/organization',
  '/password',
  '/phone',
  '/sessions',
  '/consents',
  '/looks',
  '/close',
]

journey('a fault stands beside its field', async ({ phone, driver }) => {
  const form = new Form(phone, driver)
  await form.open()
  await form.submit()
  for (const [label, fault] of [
    ['姓名', '请填写与身份证一致的姓名'],
    ['身份证号码', '请填写身份证号码'],
    ['所属地区', '请选择所属地区'],
    ['所属组织', '请选择所属组织'],
    ['手机号码', '请填写 11 位手机号码'],
    ['验证码', '请先获取短信验证码'],
    ['密码', '请设置密码'],
  ] as const) {
    expect(await form.fault(label), label).toContain(fault)
  }
  await phone.reads('请阅读并勾选“必选”的告知书')
  // And goes when it is mended.
  await phone.field('姓名').fill('张晓明')
  expect(await form.fault('姓名')).toBe('')
})

journey('the back button closes a picker and stays on the page', async ({ phone, driver }) => {
  const form = new Form(phone, driver)
  await phone.open('/')
  await phone.link('注册志愿者').first().click()
  await phone.field('姓名').fill('张晓明')
  for (const [field, title] of [
    [/^所属地区/, '选择现居住地'],
    [/^所属组织/, '选择所属组织'],
  ] as const) {
    await phone.button(field).click()
    const sheet = phone.page.getByRole('dialog', { name: title })
    await sheet.waitFor()
    await phone.page.goBack()
    await sheet.waitFor({ state: 'hidden' })
    expect(new URL(phone.page.url()).pathname).toBe('/register')
  }
  expect(await phone.field('姓名').inputValue()).toBe('张晓明')
  await form.chooseRegion()
  await phone.page.goBack()
  await phone.page.waitForURL((url) => url.pathname === '/')
})

journey('every page has its labels and fits, in the dark too', async ({ another, driver }) => {
  const person = adult()
  await driver.register(person)
  for (const dark of [false, true]) {
    const phone = await another({ width: 360, height: 640, dark })
    const pages = [...PUBLIC]
    for (const path of pages) await looksRight(phone, path, dark)
    await phone.open('/sign-in?next=/me')
    await phone.field('账号').fill(person.phone)
    await phone.field('密码').fill(person.password)
    await phone.submitButton('登录').click()
    await phone.page.getByRole('img', { name: /二维码/ }).waitFor()
    for (const path of MINE) await looksRight(phone, `/me${path}`, dark)
  }
})

async function looksRight(
  phone: Parameters<typeof expectNoWider>[0],
  path: string,
  dark: boolean,
): Promise<void> {
  await phone.page.goto(path, { waitUntil: 'networkidle' })
  const what = `${path}${dark ? ' in the dark' : ''}`
  await expectAccessible(phone, what)
  await expectNoWider(phone, what)
  if (dark) return
  // As large as people set it.
  await phone.page.evaluate(() => {
    document.documentElement.style.setProperty('-webkit-text-size-adjust', '200%')
    document.documentElement.style.fontSize = '200%'
  })
  await expectNoWider(phone, `${what}, with large text`)
}
