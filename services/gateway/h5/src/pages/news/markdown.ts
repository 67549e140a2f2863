import { marked, type Token, type Tokens } from 'marked'
import { h, type VNode } from 'vue'

type Child = VNode | string

/**
 * What somebody wrote in Markdown, as nodes: no markup of theirs becomes markup of the page. HTML is
 * shown as it is written, a picture as what stands for it, and a link leads to `https://` or nowhere.
 */
export function rendered(markdown: string): Child[] {
  return children(marked.lexer(markdown, { gfm: true }))
}

function children(tokens: Token[] | undefined): Child[] {
  return (tokens ?? []).flatMap((token) => one(token))
}

function one(token: Token): Child[] {
  switch (token.type) {
    case 'space':
    case 'def':
      return []
    case 'heading': {
      const { depth, tokens } = token as Tokens.Heading
      // The title of the article stands above.
      return [h(`h${Math.min(depth + 1, 6)}`, children(tokens))]
    }
    case 'paragraph':
      return [h('p', children(token.tokens))]
    case 'blockquote':
      return [h('blockquote', children(token.tokens))]
    case 'list':
      return [list(token as Tokens.List)]
    case 'code':
      return [h('pre', h('code', (token as Tokens.Code).text))]
    case 'hr':
      return [h('hr')]
    case 'table':
      return [table(token as Tokens.Table)]
    case 'strong':
    case 'em':
    case 'del':
      return [h(token.type, children(token.tokens))]
    case 'codespan':
      return [h('code', (token as Tokens.Codespan).text)]
    case 'br':
      return [h('br')]
    case 'link':
      return link(token as Tokens.Link)
    case 'image':
      return [(token as Tokens.Image).text]
    case 'text':
      return token.tokens ? children(token.tokens) : [(token as Tokens.Text).text]
    case 'html':
      return token['block'] ? [h('p', token.raw.trim())] : [token.raw]
    case 'escape':
      return [(token as Tokens.Escape).text]
    default:
      return [token.raw]
  }
}

function list({ ordered, start, items }: Tokens.List): VNode {
  const rows = items.map((item) => h('li', children(item.tokens)))
  return ordered ? h('ol', { start: start === '' ? undefined : start }, rows) : h('ul', rows)
}

function table({ header, rows }: Tokens.Table): VNode {
  const cells = (of: 'th' | 'td', row: Tokens.TableCell[]) =>
    h(
      'tr',
      row.map((cell) => h(of, children(cell.tokens))),
    )
  const parts = [
    h('thead', cells('th', header)),
    h(
      'tbody',
      rows.map((row) => cells('td', row)),
    ),
  ]
  return h('div', { class: 'wide' }, h('table', parts))
}

function link({ href, tokens }: Tokens.Link): Child[] {
  const inner = children(tokens)
  return safe(href) ? [h('a', { href, rel: 'noopener noreferrer' }, inner)] : inner
}

function safe(href: string): boolean {
  try {
    return new URL(href).protocol === 'https:'
  } catch {
    return false
  }
}
