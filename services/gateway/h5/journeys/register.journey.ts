import { expect } from 'vitest'

import { Form } from './form.ts'
import { journey } from './journey.ts'
import { adult, minor } from './people.ts'

journey('an adult registers, and holds the card', async ({ phone, driver }) => {
  const person = adult()
  await phone.open('/')
  await phone.link('注册志愿者').first().click()
  await phone.reads('安徽志愿者注册')
  const form = new Form(phone, driver)
  for (const words of ['请输入姓名', '请输入身份证号码', '请输入手机号码', '请输入短信验证码']) {
    await phone.page.getByPlaceholder(words).first().waitFor()
  }
  await phone.page.getByPlaceholder('请设置6-16位密码，不可为纯数字').waitFor()
  await form.fill(person)
  await form.submit()
  const number = await form.card()
  const me = await (await driver.signIn(person)).profile()
  expect(me.volunteerNumber).toBe(number)
  expect(me.organizationCode).toBe('AH-340122100')
  expect(me.details?.regionCode).toBe('340122')

  const kept = await phone.kept()
  for (const secret of [person.name, person.idNumber, person.phone, person.password, number]) {
    expect(kept).not.toContain(secret)
    phone.expectNothingInAddresses(secret)
  }
  // Nor does the way back lead to a form that is filled in.
  await phone.open('/register')
  expect(await phone.field('姓名').inputValue()).toBe('')
})

journey('after registering one is signed in at a tap', async ({ phone, driver }) => {
  const person = adult()
  const form = new Form(phone, driver)
  await form.open()
  await form.fill(person)
  await form.submit()
  const number = await form.card()
  await phone.button('登录并完善个人资料').click()
  await phone.page.waitForURL(/\/me/)
  await phone.open('/me')
  await phone.page.getByRole('img', { name: new RegExp(number) }).waitFor()
})

journey('who is 15 registers with a guardian', async ({ phone, driver }) => {
  const [child, parent] = [minor(), adult()]
  const form = new Form(phone, driver)
  await form.open()
  await form.fill(child)
  await form.proveGuardian(parent)
  await form.submit()
  await form.card()
  const me = await (await driver.signIn(child)).profile()
  expect(me.guardianConsent?.maskedPhone).toContain('****')
  await driver.message(parent.phone, '您以监护人身份同意注册')
  expect(await phone.kept()).not.toContain(parent.idNumber)
})

journey(
  'who waits for the register is told, and becomes a volunteer',
  async ({ phone, driver }) => {
    const person = adult('稍后')
    const form = new Form(phone, driver)
    await form.open()
    await form.fill(person)
    await form.submit()
    await phone.reads('正在实名核验')
    await phone.reads('核验完成后，会发短信到您填写的手机。')
    await driver.message(person.phone, '注册')
    await phone.reads('您已成为注册志愿者')
    expect(await phone.kept()).not.toContain(person.idNumber)
  },
)

journey('a rare character waits for a person, also after a reload', async ({ phone, driver }) => {
  const person = adult('𠮷')
  const form = new Form(phone, driver)
  await form.open()
  await form.fill(person)
  await form.submit()
  await phone.reads('等待人工核对')
  await phone.page.reload()
  await phone.reads('等待人工核对')
})

journey('who mistypes sees where, corrects it and is registered', async ({ phone, driver }) => {
  const person = adult('不符')
  const form = new Form(phone, driver)
  await form.open()
  await form.fill(person)
  await form.submit()
  await expect.poll(() => form.fault('身份证号码')).not.toBe('')
  expect(await form.fault('姓名')).not.toBe('')
  // The code was right, and is still good.
  await phone.field('姓名').fill(person.name.replace('不符', ''))
  expect(await form.fault('身份证号码')).toBe('')
  await form.submit()
  await form.card()
})

journey('who is registered already learns it from the own phone', async ({ phone, driver }) => {
  const person = adult()
  await driver.register(person)
  const again = { ...person, phone: adult().phone }
  const form = new Form(phone, driver)
  await form.open()
  await form.fill(again)
  await form.submit()
  await phone.reads('这个身份证号码已经注册')
  await phone.link('直接登录').or(phone.button('直接登录')).first().waitFor()
})
