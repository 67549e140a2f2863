import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  chromium,
  type Browser,
  type BrowserContext,
  type Locator,
  type Page,
} from 'playwright-core'
import { expect } from 'vitest'

/** Where a picture of the screen lies after a journey that failed. */
const PICTURES = process.env['ZHIYUAN_JOURNEY_PICTURES'] ?? join(tmpdir(), 'zhiyuan-journeys')
const CHROMIUM = process.env['ZHIYUAN_CHROMIUM'] ?? '/usr/bin/chromium'
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const PATIENCE = 15_000

/** Debian's Chromium, without a window. */
export async function launch(): Promise<Browser> {
  try {
    return await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS })
  } catch (error) {
    throw new Error(
      `${CHROMIUM} can not be started; on Debian: ` +
        'sudo apt-get install -y --no-install-recommends chromium fonts-noto-cjk',
      { cause: error },
    )
  }
}

/** How a phone is. */
export interface Habits {
  width?: number
  height?: number
  dark?: boolean
  /** Pixels of the screen for one of the page. */
  scale?: number
}

/** A browser on a phone of its own, and all that went wrong in it. */
export class Phone {
  private readonly wrong: string[] = []
  private readonly allowed: RegExp[] = []
  private readonly addresses: string[] = []

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    private readonly gateway: string,
  ) {}

  static async take(browser: Browser, gateway: string, habits: Habits = {}): Promise<Phone> {
    const context = await browser.newContext({
      baseURL: gateway,
      viewport: { width: habits.width ?? 390, height: habits.height ?? 844 },
      deviceScaleFactor: habits.scale ?? 1,
      colorScheme: habits.dark ? 'dark' : 'light',
      isMobile: true,
      hasTouch: true,
      locale: 'zh-CN',
      timezoneId: 'Asia/Shanghai',
      reducedMotion: 'reduce',
    })
    context.setDefaultTimeout(PATIENCE)
    const phone = new Phone(context, await context.newPage(), gateway)
    await phone.watch()
    return phone
  }

  private async watch(): Promise<void> {
    const { context, page, wrong } = this
    await context.exposeBinding('policyViolated', (_source, what: string) => wrong.push(what))
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        const { policyViolated } = window as unknown as { policyViolated(what: string): void }
        policyViolated(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`)
      })
    })
    page.on('pageerror', (error) => wrong.push(`error: ${error.message}`))
    page.on('console', (message) => {
      // A refusal is an answer like any; Chromium tells of it all the same.
      const refusal = message.location().url.includes('/zhiyuan.')
      const kinds = ['error', 'warning']
      if (kinds.includes(message.type()) && !refusal) wrong.push(`console: ${message.text()}`)
    })
    page.on('request', (request) => this.addresses.push(request.url()))
    page.on('requestfailed', (request) => {
      // Who leaves a page waits for none of its answers.
      if (request.failure()?.errorText === 'net::ERR_ABORTED') return
      wrong.push(`request: ${request.url()} ${request.failure()?.errorText}`)
    })
    page.on('framenavigated', (frame) => this.addresses.push(frame.url()))
    page.on('response', (response) => {
      const { pathname } = new URL(response.url())
      if (response.status() >= 400 && !pathname.startsWith('/zhiyuan.')) {
        wrong.push(`answer: ${response.url()} ${response.status()}`)
      }
    })
  }

  /** Something like this goes wrong on purpose. */
  allow(what: RegExp): void {
    this.allowed.push(what)
  }

  /** Opens a page of the suite. */
  async open(path: string): Promise<void> {
    await this.page.goto(path)
  }

  /** What can be filled in, by its label. */
  field(label: string): Locator {
    return this.page.getByLabel(label, { exact: true })
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole('button', { name })
  }

  /** The button that sends the form. */
  submitButton(name: string): Locator {
    return this.page.locator('form').getByRole('button', { name, exact: true })
  }

  /** Asks for a code; a phone gets one a minute, and the button says when. */
  async askForCode(): Promise<void> {
    const button = this.page.getByRole('button', { name: /^(获取短信验证码|重新获取)$/ })
    const sent = this.page.getByText('验证码已发送至')
    do {
      await button.click({ timeout: 70_000 })
      await sent
        .or(this.page.getByRole('button', { name: /后重发$/ }))
        .first()
        .waitFor()
    } while ((await sent.count()) === 0)
  }

  /** Says yes to what is asked in a sheet. */
  async confirm(title: string): Promise<void> {
    const sheet = this.page.getByRole('dialog', { name: title })
    await sheet.getByRole('button').last().click()
  }

  link(name: string | RegExp): Locator {
    return this.page.getByRole('link', { name })
  }

  /** Waits until a text can be read. */
  async reads(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor()
  }

  /** Everything that the device keeps and scripts can read. */
  async kept(): Promise<string> {
    return this.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))
  }

  /** Nothing personal is in an address that was opened or called. */
  expectNothingInAddresses(...personal: string[]): void {
    for (const address of this.addresses) {
      for (const secret of personal) {
        expect(decodeURIComponent(address)).not.toContain(secret)
      }
    }
  }

  async picture(name: string): Promise<string> {
    mkdirSync(PICTURES, { recursive: true })
    const path = join(PICTURES, `${name}.png`)
    await this.page.screenshot({ path, fullPage: true })
    return path
  }

  /** Puts the phone away; nothing may have gone wrong that was not meant to. */
  async putAway(): Promise<void> {
    const wrong = this.wrong.filter((what) => !this.allowed.some((allowed) => allowed.test(what)))
    await this.context.close()
    expect(wrong, `what went wrong at ${this.gateway}`).toEqual([])
  }
}
