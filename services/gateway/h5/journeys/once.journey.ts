import type { Page } from 'playwright-core'
import { expect } from 'vitest'

import { Driver } from './driver.ts'
import { Form } from './form.ts'
import { journey } from './journey.ts'
import { adult, type Person } from './people.ts'
import { Suite } from './running.ts'

const REGISTER = /RegistrationService\/Register$/

/** The ids under which the form was sent. */
function sentIds(page: Page): string[] {
  const ids: string[] = []
  page.on('request', (request) => {
    if (!REGISTER.test(request.url())) return
    ids.push((request.postDataJSON() as { requestId: string }).requestId)
  })
  return ids
}

async function expectOnce(driver: Driver, person: Person, number: string, ids: string[]) {
  expect(new Set(ids).size).toBe(1)
  expect((await (await driver.signIn(person)).profile()).volunteerNumber).toBe(number)
  const told = (await driver.inbox(person.phone)).filter(({ code }) => code === null)
  expect(told.length).toBeLessThanOrEqual(1)
}

journey('a double tap registers once', async ({ phone, driver }) => {
  const [person, ids] = [adult(), sentIds(phone.page)]
  const form = new Form(phone, driver)
  await form.open()
  await form.fill(person)
  await form.submitButton.evaluate((button: HTMLElement) => {
    button.click()
    button.click()
  })
  await expectOnce(driver, person, await form.card(), ids)
  expect(ids).toHaveLength(1)
})

journey('a reload in the middle costs a password and no more', async ({ phone, driver }) => {
  const person = adult()
  const form = new Form(phone, driver)
  await form.open()
  await form.fill(person)
  expect(await phone.kept()).not.toContain(person.password)
  await phone.page.reload()
  await phone.reads('已恢复您上次填写的内容')
  expect(await phone.field('姓名').inputValue()).toBe(person.name)
  expect(await phone.field('身份证号码').inputValue()).toBe(person.idNumber)
  expect(await phone.field('手机号码').inputValue()).toBe(person.phone)
  expect(await phone.field('密码').inputValue()).toBe('')
  await phone.button(/^所属组织 *共青团店埠镇委员会/).waitFor()
  // The code that came before is still good.
  await phone.field('验证码').fill(await driver.code(person.phone))
  await phone.field('密码').fill(person.password)
  await form.submit()
  await form.card()
})

journey('an answer that is lost registers once', async ({ phone, driver }) => {
  const [person, ids] = [adult(), sentIds(phone.page)]
  const form = new Form(phone, driver)
  await form.open()
  await form.fill(person)
  phone.allow(/RegistrationService\/Register net::ERR_FAILED/)
  await phone.page.route(
    REGISTER,
    async (route) => {
      // The suite has done it, and nobody hears of it.
      await route.fetch()
      await route.abort()
    },
    { times: 1 },
  )
  await form.submit()
  await phone.reads('还没有收到结果')
  await phone.button(/提交$/).first().click()
  await expectOnce(driver, person, await form.card(), ids)
  expect(ids).toHaveLength(2)
})

journey(
  'who loads the page anew after a lost answer sees the result',
  async ({ phone, driver }) => {
    const person = adult()
    const form = new Form(phone, driver)
    await form.open()
    await form.fill(person)
    phone.allow(/RegistrationService\/Register net::ERR_FAILED/)
    await phone.page.route(REGISTER, async (route) => {
      await route.fetch()
      await route.abort()
    })
    await form.submit()
    await phone.reads('还没有收到结果')
    await phone.page.reload()
    await form.card()
    expect(await phone.kept()).not.toContain(person.idNumber)
  },
)

journey(
  'a suite that is stopped and started again in the middle goes on',
  { timeout: 300_000 },
  async ({ another }) => {
    const suite = await Suite.start()
    try {
      const phone = await another({}, suite.gateway)
      const driver = new Driver(suite.gateway, suite.simulator)
      const person = adult()
      const form = new Form(phone, driver)
      await form.open()
      await form.fill(person)
      await suite.stop()
      phone.allow(/net::ERR_(CONNECTION|SOCKET|EMPTY)/)
      await form.submit()
      await phone.reads('还没有收到结果')
      await suite.startAgain()
      await phone.button(/提交$/).first().click()
      const number = await form.card()
      expect((await (await driver.signIn(person)).profile()).volunteerNumber).toBe(number)
    } finally {
      await suite.end()
    }
  },
)
