import { expect, inject } from 'vitest'

import { ORGANIZATION } from './driver.ts'
import { Form } from './form.ts'
import { journey } from './journey.ts'
import { member } from './people.ts'

journey('who is on a roster begins with the default password', async ({ phone, driver }) => {
  const person = member()
  const administrator = await driver.administrator(inject('data'))
  await administrator.putOnRoster(ORGANIZATION.code, [person])
  await phone.open('/activate')
  await phone.field('手机号码').fill(person.phone)
  await phone.button('获取短信验证码').click()
  await phone.field('验证码').fill(await driver.code(person.phone))
  await phone.field('默认密码').fill(person.idNumber.slice(-8))
  await phone.submitButton('下一步').click()
  await phone.reads('请补充下面的内容并设置密码。')
  const form = new Form(phone, driver)
  await form.choosePlaces()
  await phone.field('密码').fill(person.password)
  await form.consent()
  await form.submit()
  await form.card()
  // One level above who only knows name and number: the phone is the roster's.
  expect((await (await driver.signIn(person)).profile()).level).toBe(2)
})
