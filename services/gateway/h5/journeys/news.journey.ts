import { randomUUID } from 'node:crypto'

import { beforeAll, expect, inject } from 'vitest'

import { ArticleKind, NewsService } from '../src/gen/zhiyuan/orgtree/v1/news_pb.ts'
import { expectAccessible, expectNoWider } from './accessibility.ts'
import { Driver } from './driver.ts'
import { journey } from './journey.ts'
import { adult } from './people.ts'

const BODY = `# 三步注册

1. 关注**公众号**
2. 填写[注册表](https://www.example.cn/)

<script>alert(1)</script>

| 时间 | 地点 |
| --- | --- |
| 周六 | 一个名字很长很长很长很长很长很长的地方 |
`

let committee: Driver

beforeAll(async () => {
  const driver = new Driver(inject('gateway'), inject('simulator'))
  committee = await driver.administrator(inject('data'))
}, 90_000)

async function publish(title: string, kind: ArticleKind, pinned = false): Promise<string> {
  const news = committee.of(NewsService)
  const content = { kind, title, summary: '三步完成', body: BODY, pinned }
  const made = await news.createArticle({
    requestId: randomUUID(),
    organizationCode: 'AH',
    content,
  })
  const { articleId, etag } = made
  await news.publishArticle({ requestId: randomUUID(), articleId, etag })
  return articleId
}

journey('reads what the committee has published, and passes it on', async ({ another, driver }) => {
  const guide = await publish('怎样注册成为志愿者', ArticleKind.GUIDE, true)
  const activity = await publish('周末到图书馆做志愿者', ArticleKind.ACTIVITY)
  const phone = await another({ width: 360, dark: true })
  await phone.open('/')
  await phone.link(/指南与动态/).click()
  const titles = phone.page.locator('li .title')
  await expect.poll(() => titles.allInnerTexts()).toHaveLength(2)
  expect((await titles.allInnerTexts())[0]).toMatch(/置顶.*怎样注册成为志愿者/)
  await expectAccessible(phone, 'the list')
  await expectNoWider(phone, 'the list')
  await phone.button('活动信息').click()
  await expect.poll(() => titles.allInnerTexts()).toEqual(['周末到图书馆做志愿者'])

  await phone.open(`/news/${guide}`)
  await phone.page.getByRole('heading', { name: '三步注册' }).waitFor()
  await phone.reads('<script>alert(1)</script>')
  expect(await phone.link('注册表').getAttribute('href')).toBe('https://www.example.cn/')
  await expectAccessible(phone, 'the article')
  await expectNoWider(phone, 'the article')
  await phone.picture('article')
  await phone.context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await phone.button('分享').click()
  await phone.reads('链接已复制，可以粘贴给朋友')
  const copied = await phone.page.evaluate(() => navigator.clipboard.readText())
  expect(new URL(copied).pathname).toBe(`/news/${guide}`)

  // Who has signed in reads what the own committees say, and so what is said above them.
  const person = adult()
  await driver.register(person)
  await phone.open('/sign-in?next=/news')
  await phone.field('账号').fill(person.phone)
  await phone.field('密码').fill(person.password)
  await phone.submitButton('登录').click()
  await expect.poll(() => titles.allInnerTexts()).toHaveLength(2)

  const withdrawn = { requestId: randomUUID(), articleId: activity }
  await committee.of(NewsService).withdrawArticle(withdrawn)
  await phone.open(`/news/${activity}`)
  await phone.reads('没有这篇文章，或者已经撤下')
})
