import { beforeAll, expect, inject } from 'vitest'

import { Driver } from './driver.ts'
import { journey } from './journey.ts'
import { adult, type Person } from './people.ts'
import type { Phone } from './phone.ts'

/** A phone gets one code a minute: these have had one when they come to ask for the next. */
const known = [adult(), adult(), adult()]
const knownFor = (place: number) => known[place] ?? adult()

beforeAll(async () => {
  const driver = new Driver(inject('gateway'), inject('simulator'))
  for (const person of known) await driver.register(person)
})

async function signIn(phone: Phone, { phone: number, password }: Person): Promise<void> {
  await phone.open('/sign-in?next=/me')
  await phone.field('账号').fill(number)
  await phone.field('密码').fill(password)
  await phone.submitButton('登录').click()
  await phone.page.getByRole('img', { name: /二维码/ }).waitFor()
}

journey('signs in by password, and sees who one is', async ({ phone, driver }) => {
  const person = adult()
  const { volunteer } = await driver.register(person)
  await phone.open('/me')
  await phone.page.waitForURL(/\/sign-in/)
  await signIn(phone, person)
  await phone.page
    .getByRole('img', { name: new RegExp(volunteer?.volunteerNumber ?? '-') })
    .waitFor()
  const cookies = await phone.context.cookies()
  expect(cookies.length).toBeGreaterThan(0)
  expect(cookies.every(({ httpOnly }) => httpOnly)).toBe(true)
  const kept = await phone.kept()
  for (const secret of [person.name, person.idNumber, person.phone, person.password]) {
    expect(kept).not.toContain(secret)
    phone.expectNothingInAddresses(secret)
  }
})

journey('a wrong password is told, and says nothing more', async ({ phone, driver }) => {
  const person = adult()
  await driver.register(person)
  const told: string[] = []
  for (const { phone: number } of [person, adult()]) {
    await phone.open('/sign-in')
    await phone.field('账号').fill(number)
    await phone.field('密码').fill('not-this-one')
    await phone.submitButton('登录').click()
    const alert = phone.page.getByRole('alert').filter({ hasText: '密码不正确' })
    told.push(await alert.innerText())
  }
  expect(told[0]).toBe(told[1])
})

journey('signs out everywhere', async ({ phone, another, driver }) => {
  const person = adult()
  await driver.register(person)
  const other = await another()
  await signIn(phone, person)
  await signIn(other, person)
  await phone.open('/me/sessions')
  await phone.button('在所有设备退出').click()
  await phone.confirm('在所有设备退出登录')
  await phone.reads('已在所有设备上退出登录。')
  // Everywhere else it is known within five seconds.
  const ended = async () => {
    await other.page.goto('/me', { waitUntil: 'networkidle' })
    return new URL(other.page.url()).pathname
  }
  await expect.poll(ended, { timeout: 20_000, interval: 500 }).toBe('/sign-in')
})

journey('changes the organization', async ({ phone, driver }) => {
  const person = adult()
  await driver.register(person)
  await signIn(phone, person)
  await phone.link(/^所属组织/).click()
  await phone.button(/^新的组织/).click()
  const sheet = phone.page.getByRole('dialog', { name: '选择所属组织' })
  await sheet.getByLabel('搜索组织').fill('撮镇')
  await sheet.getByRole('button', { name: '共青团撮镇镇委员会' }).click()
  await phone.submitButton('更改').click()
  await phone.reads('所属组织已更改')
  const me = await (await driver.signIn(person)).profile()
  expect(me.organizationCode).not.toBe('AH-340122100')
})

journey('gives a consent and takes it back', async ({ phone, driver }) => {
  const person = adult()
  await driver.register(person)
  await signIn(phone, person)
  await phone.link('授权与同意').click()
  const row = phone.button(/投保.*/)
  await expect.poll(() => row.first().innerText()).toContain('未同意')
  await row.first().click()
  await phone.button('我已阅读，同意').click()
  await expect.poll(() => row.first().innerText()).toContain('已同意')
  await row.first().click()
  await phone.button('撤回同意').click()
  await phone.confirm('撤回同意')
  await expect.poll(() => row.first().innerText()).toContain('已撤回')
})

journey('signs in by code', async ({ phone, driver }) => {
  const person = knownFor(0)
  await phone.open('/sign-in')
  await phone.page.getByRole('tab', { name: '验证码登录' }).click()
  await phone.field('手机号码').fill(person.phone)
  await phone.askForCode()
  await phone.field('验证码').fill(await driver.code(person.phone, 2))
  await phone.submitButton('登录').click()
  await phone.page.waitForURL((url) => !url.pathname.startsWith('/sign-in'))
  await phone.open('/me')
  await phone.page.getByRole('img', { name: /二维码/ }).waitFor()
})

journey('a forgotten password is replaced', async ({ phone, driver }) => {
  const person = knownFor(1)
  await phone.open('/sign-in')
  await phone.link('忘记密码').click()
  await phone.field('手机号码').fill(person.phone)
  await phone.askForCode()
  await phone.field('验证码').fill(await driver.code(person.phone, 2))
  await phone.field('新密码').fill('huangshan-2026')
  await phone.submitButton('设置新密码').click()
  await phone.reads('新密码已设置')
  await signIn(phone, { ...person, password: 'huangshan-2026' })
})

journey('closes the account', async ({ phone, driver }) => {
  const person = knownFor(2)
  await signIn(phone, person)
  await phone.link('注销账号').click()
  await phone.field('手机号码').fill(person.phone)
  await phone.askForCode()
  await phone.field('验证码').fill(await driver.code(person.phone, 2))
  await phone.field('登录密码').fill(person.password)
  await phone.field('确认').fill('注销账号')
  await phone.submitButton('注销账号').click()
  await phone.reads('您的姓名、身份证号码、手机号码和密码已经销毁')
  await phone.open('/me')
  await phone.page.waitForURL(/\/sign-in/)
  await expect(driver.signIn(person)).rejects.toThrow()
})
