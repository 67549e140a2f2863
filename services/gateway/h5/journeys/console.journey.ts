import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'

import { expect, inject } from 'vitest'

import { expectAccessible, expectNoWider } from './accessibility.ts'
import type { Driver } from './driver.ts'
import { journey } from './journey.ts'
import type { Phone } from './phone.ts'

/** A township that no other journey has to do with: nobody is on a roster there. */
const TOWNSHIP = 'AH-340202001'
const MEMBERS = 1234

/** Signs in with both factors, as the administrator of the province does. */
async function signIn(screen: Phone, driver: Driver): Promise<void> {
  const file = readFileSync(join(inject('data'), 'accounts/administrator.json'), 'utf8')
  const { phone, password } = JSON.parse(file) as { phone: string; password: string }
  await screen.field('手机号码').fill(phone)
  await screen.field('密码').fill(password)
  const sent = (await driver.inbox(phone)).filter(({ code }) => code !== null).length
  await screen.askForCode()
  await screen.field('验证码').fill(await driver.code(phone, sent + 1))
  await screen.submitButton('登录').click()
}

journey(
  'the secretary of the province sees at once where everybody stands',
  async ({ another, driver }) => {
    const screen = await another({ width: 1280, height: 800 })
    await screen.open('/console')
    await screen.page.getByRole('heading', { name: '管理员登录' }).waitFor()
    await expectAccessible(screen, 'signing in')
    await signIn(screen, driver)
    await screen.page.getByRole('heading', { name: /安徽省委员会/ }).waitFor({ timeout: 30_000 })
    expect(new URL(screen.page.url()).pathname).toBe('/console/AH')

    // The counties that are directly below the province stand among the cities, once each.
    for (const county of [/广德/, /宿松/]) expect(await screen.link(county).count()).toBe(1)
    const city = screen.page.getByRole('row').filter({ hasText: /芜湖市委员会/ })
    await city.getByText(/90%，.*前/).waitFor()

    // What changes is seen without a touch.
    const members = screen.page.locator('.card', { hasText: '团员数' })
    const refused = await screen.page.evaluate(
      async ([requestId, organizationCode, count]) => {
        const statement = { members: count, source: '智慧团建导出', statedOn: '2026-11-01' }
        const answer = await fetch('/zhiyuan.orgtree.v1.StatisticsService/StateMembers', {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'zhiyuan-session': 'cookie' },
          body: JSON.stringify({ requestId, organizationCode, statement }),
        })
        return answer.ok ? '' : answer.text()
      },
      [randomUUID(), TOWNSHIP, MEMBERS] as const,
    )
    expect(refused).toBe('')
    // Other journeys bring some, too.
    await members.getByText(/^1,2\d\d/).waitFor()
    await city.getByText('还差 1,111 人').waitFor()
    await expectAccessible(screen, 'the dashboard')
    await expectNoWider(screen, 'the dashboard')
    await screen.picture('console')
    await screen.button(/只看未达标/).click()
    await expect.poll(() => screen.page.locator('tbody tr').count()).toBeLessThanOrEqual(2)
    await city.waitFor()

    // Down the tree, and up again.
    await screen.link(/芜湖市委员会/).click()
    await screen.page.getByRole('heading', { name: /芜湖市委员会/ }).waitFor()
    await screen.link(/镜湖区委员会/).click()
    await screen.page.getByRole('heading', { name: /镜湖区委员会/ }).waitFor()
    const way = screen.page.getByRole('navigation', { name: '所在位置' })
    await way.getByRole('link', { name: /安徽省委员会/ }).click()
    await screen.page.getByRole('heading', { name: /安徽省委员会/ }).waitFor()

    await screen.page.setViewportSize({ width: 360, height: 780 })
    await expectNoWider(screen, 'the dashboard on a phone')
    await expectAccessible(screen, 'the dashboard on a phone')
    await screen.picture('console-phone')

    // Nothing is left to see for who comes after.
    await screen.button('退出登录').click()
    await screen.page.getByRole('heading', { name: '管理员登录' }).waitFor()
    await screen.open('/console/AH')
    await screen.page.getByRole('heading', { name: '管理员登录' }).waitFor()
    expect(await screen.page.getByText(/1,2\d\d/).count()).toBe(0)
  },
)
