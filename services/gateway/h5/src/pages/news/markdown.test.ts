import { renderToString } from 'vue/server-renderer'
import { createSSRApp, h } from 'vue'
import { expect, test } from 'vitest'

import { rendered } from './markdown'

async function html(markdown: string): Promise<string> {
  const text = await renderToString(createSSRApp({ render: () => h('div', rendered(markdown)) }))
  return text.replace(/<!--[[\]]-->/g, '')
}

test('headings, lists, tables and emphasis are what they are called', async () => {
  expect(await html('# 一\n\n二 **三** *四* ~~五~~ `六`')).toBe(
    '<div><h2>一</h2><p>二 <strong>三</strong> <em>四</em> <del>五</del> <code>六</code></p></div>',
  )
  expect(await html('3. 甲\n4. 乙\n')).toBe('<div><ol start="3"><li>甲</li><li>乙</li></ol></div>')
  expect(await html('- 甲\n  - 乙')).toBe('<div><ul><li>甲<ul><li>乙</li></ul></li></ul></div>')
  expect(await html('|a|b|\n|-|-|\n|1|2|')).toContain(
    '<thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody>',
  )
  expect(await html('> 引\n\n---\n\n    码')).toBe(
    '<div><blockquote><p>引</p></blockquote><hr><pre><code>码</code></pre></div>',
  )
})

test('nothing that somebody writes becomes markup of the page', async () => {
  for (const written of [
    '<script>alert(1)</script>',
    'a <img src=x onerror=alert(1)> b',
    '<div onclick="x">块</div>',
    '```\n<b>\n```',
    '`<b>`',
    '&lt;b&gt;',
    '[<i>x</i>](https://a.cn)',
    '![<i>](https://a.cn/x.png)',
  ]) {
    const text = await html(written)
    expect(text, written).not.toMatch(/<(script|img|b|i|div) ?[^>]+>|<(script|b|i)>/)
    expect(text, written).not.toContain('onerror=alert(1)>')
  }
})

test('a link leads to another site by https, or is none', async () => {
  expect(await html('[甲](https://www.zyz.org.cn/a?b=1)')).toBe(
    '<div><p><a href="https://www.zyz.org.cn/a?b=1" rel="noopener noreferrer">甲</a></p></div>',
  )
  for (const href of [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    '&#106;avascript:alert(1)',
    'data:text/html,x',
    'http://a.cn',
    '//a.cn',
    '/me',
    'tel:110',
    'https:',
  ]) {
    expect(await html(`[甲](${href})`), href).toBe('<div><p>甲</p></div>')
  }
  expect(await html('<javascript:alert(1)> www.a.cn')).not.toContain('href')
  expect(await html('[甲][x]\n\n[x]: javascript:alert(1)')).toBe('<div><p>甲</p></div>')
})
