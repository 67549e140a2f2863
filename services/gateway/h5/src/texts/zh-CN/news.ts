/** What organizations tell their people. */
export const news = {
  title: '指南与动态',
  all: '全部',
  /** By the names of the contract. */
  kinds: { GUIDE: '使用指南', ACTIVITY: '活动信息', NEWS: '新闻动态' },
  choose: '类别',
  pinned: '置顶',
  nothing: '暂时没有内容，组织发布后会显示在这里',
  line: (organization: string, day: string) => `${organization} · ${day}`,
  changed: (day: string) => `，${day} 有更新`,
  share: '分享',
  shareHere: '在微信中，点右上角“…”即可转发给朋友',
  copied: '链接已复制，可以粘贴给朋友',
  notCopied: '没能复制，请长按地址栏复制链接',
  gone: '没有这篇文章，或者已经撤下',
  toList: '查看其他内容',
}
