/** What is said where the suite itself could say nothing. */
export const failure = {
  network: '网络不太顺畅，请检查网络后重试；已填写的内容不会丢失。',
  unknown: '系统暂时出了问题，请稍后重试。',
  trace: (id: string) => `问题编号：${id}`,
}
