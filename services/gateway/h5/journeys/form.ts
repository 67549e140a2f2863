import type { Locator } from 'playwright-core'
import { expect } from 'vitest'

import { ORGANIZATION, REGION, type Driver } from './driver.ts'
import type { Person } from './people.ts'
import type { Phone } from './phone.ts'

/** The form of the notice, as somebody fills it in. */
export class Form {
  constructor(
    private readonly phone: Phone,
    private readonly driver: Driver,
  ) {}

  async open(): Promise<void> {
    await this.phone.open('/register')
    await this.phone.field('姓名').waitFor()
  }

  /** The part of the guardian. */
  get guardian(): Locator {
    const heading = this.phone.page.getByRole('heading', { name: '监护人同意' })
    return this.phone.page.locator('section').filter({ has: heading })
  }

  async fill(person: Person): Promise<void> {
    await this.identify(person)
    await this.choosePlaces()
    await this.prove(person)
    await this.phone.field('密码').fill(person.password)
    await this.consent()
  }

  async identify({ name, idNumber }: Person): Promise<void> {
    await this.phone.field('姓名').fill(name)
    await this.phone.field('身份证号码').first().fill(idNumber)
  }

  async choosePlaces(): Promise<void> {
    await this.chooseRegion()
    await this.chooseOrganization()
  }

  async chooseRegion(): Promise<void> {
    await this.phone.button(/^所属地区/).click()
    const sheet = this.phone.page.getByRole('dialog', { name: '选择现居住地' })
    for (const name of REGION.path.slice(1)) {
      await sheet.getByRole('button', { name, exact: true }).click()
    }
    await sheet.waitFor({ state: 'hidden' })
    await this.phone.button(/^所属地区 *安徽省 合肥市 肥东县/).waitFor()
  }

  async chooseOrganization(): Promise<void> {
    await this.phone.button(/^所属组织/).click()
    const sheet = this.phone.page.getByRole('dialog', { name: '选择所属组织' })
    await sheet.getByLabel('搜索组织').fill('店埠镇')
    await sheet.getByRole('button', { name: ORGANIZATION.name }).click()
    await sheet.waitFor({ state: 'hidden' })
    await this.phone.button(new RegExp(`^所属组织 *${ORGANIZATION.name}`)).waitFor()
  }

  /** Has a code sent to the phone and types it in. */
  async prove({ phone: number }: Person): Promise<void> {
    await this.phone.field('手机号码').first().fill(number)
    await this.phone.button('获取短信验证码').first().click()
    await this.phone
      .field('验证码')
      .first()
      .fill(await this.driver.code(number))
  }

  async proveGuardian({ name, idNumber, phone: number }: Person): Promise<void> {
    const { guardian } = this
    await guardian.getByLabel('监护人姓名').fill(name)
    await guardian.getByLabel('身份证号码').fill(idNumber)
    await guardian.getByRole('radio', { name: '母亲' }).check()
    await guardian.getByLabel('手机号码').fill(number)
    await guardian.getByRole('button', { name: '获取短信验证码' }).click()
    await guardian.getByLabel('验证码').fill(await this.driver.code(number))
  }

  async consent(): Promise<void> {
    await this.phone.page.getByRole('checkbox', { name: /必选/ }).tap()
  }

  get submitButton(): Locator {
    return this.phone.button('提交')
  }

  async submit(): Promise<void> {
    await this.submitButton.click()
  }

  /** What is said to be wrong beside a field. */
  async fault(label: string): Promise<string> {
    const field = this.phone.page
      .getByLabel(label, { exact: true })
      .or(this.phone.button(new RegExp(`^${label}`)))
      .first()
    const told = await field.getAttribute('aria-describedby')
    if ((await field.getAttribute('aria-invalid')) !== 'true' || told === null) return ''
    return (await this.phone.page.locator(`[id="${told}"]`).innerText()).trim()
  }

  /** The person is registered, and sees the card; answers the number on it. */
  async card(): Promise<string> {
    await this.phone.reads('您已成为注册志愿者')
    const code = this.phone.page.getByRole('img', { name: /二维码/ })
    await code.waitFor()
    const number = /\d{15}/.exec((await code.getAttribute('aria-label')) ?? '')?.[0] ?? ''
    const shown = await this.phone.page.getByText('志愿者编号').first().locator('..').innerText()
    expect(shown.replaceAll(/\D/g, '')).toBe(number)
    return number
  }
}
