/** What is said where the suite itself could say nothing, and beside what it says. */
export const failure = {
  network: '网络不太顺畅，请检查网络后重试；已填写的内容不会丢失。',
  unknown: '系统暂时出了问题，请稍后重试。',
  traceLabel: '问题编号',
  again: {
    now: '现在可以重试了。',
    seconds: (seconds: number) => `还需等待 ${seconds} 秒。`,
    today: (clock: string) => `今天 ${clock} 以后可以重试。`,
    tomorrow: (clock: string) => `明天 ${clock} 以后可以重试。`,
    later: (month: number, day: number, clock: string) =>
      `${month} 月 ${day} 日 ${clock} 以后可以重试。`,
  },
}
