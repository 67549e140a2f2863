/** Whom people ask: in the two tracks of the notice. */
export const contacts = {
  title: '联系方式',
  phone: '电话',
  group: '群号',
  note: '说明',
  groupHint: '加群时请备注所在单位',
  groupOfProvince: '请各单位负责同志加群，备注所在单位，相关问题可在群内咨询',
  copying: {
    copy: '复制',
    copyOf: (label: string, text: string) => `复制${label} ${text}`,
    done: '已复制',
    failed: '请长按选中后复制',
  },
  asking: {
    registration: '自己无法解决的，请联系所在地市（高校、企业）团组织的负责同志：',
    technical: '多次重试仍不行的，可直接联系团省委技术负责同志：',
    above: (name: string) => `${name}（您的组织未登记联系方式，由上级受理）`,
    more: '查看全部联系方式',
  },
}
