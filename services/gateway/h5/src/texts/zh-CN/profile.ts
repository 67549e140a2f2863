import type {
  Education,
  Employment,
  PoliticalStatus,
  ServiceCategory,
  Skill,
} from '@/gen/zhiyuan/registration/v1/profile_pb'

type Names<E extends number> = Record<Exclude<`${E}`, `0`>, string>

const politicalStatus: Names<PoliticalStatus> = {
  1: '中共党员',
  2: '中共预备党员',
  3: '共青团员',
  4: '民革党员',
  5: '民盟盟员',
  6: '民建会员',
  7: '民进会员',
  8: '农工党党员',
  9: '致公党党员',
  10: '九三学社社员',
  11: '台盟盟员',
  12: '无党派人士',
  13: '群众',
}

const education: Names<Education> = {
  10: '研究生教育',
  20: '大学本科教育',
  30: '大学专科教育',
  40: '中等职业教育',
  60: '普通高级中学教育',
  70: '初级中学教育',
  80: '小学教育',
  90: '其他',
}

const employment: Names<Employment> = {
  11: '国家公务员',
  13: '专业技术人员',
  17: '职员',
  21: '企业管理人员',
  24: '工人',
  27: '农民',
  31: '学生',
  37: '现役军人',
  51: '自由职业者',
  54: '个体经营者',
  70: '无业人员',
  80: '退（离）休人员',
  90: '其他',
}

const skills: Names<Skill> = {
  1: '外语翻译',
  2: '手语',
  3: '医疗护理',
  4: '应急救援',
  5: '心理咨询',
  6: '法律服务',
  7: '教育辅导',
  8: '信息技术',
  9: '文艺表演',
  10: '美术设计',
  11: '摄影摄像',
  12: '文字宣传',
  13: '体育运动',
  14: '驾驶',
  15: '维修',
  16: '农业技术',
}

const serviceCategories: Names<ServiceCategory> = {
  1: '扶贫济困',
  2: '助老助残',
  3: '社区服务',
  4: '生态建设',
  5: '大型活动',
  6: '抢险救灾',
  7: '社会管理',
  8: '文化建设',
  9: '西部开发',
  10: '海外服务',
}

/** What volunteers state of themselves. */
export const profile = {
  title: '我的资料',
  progress: (filled: number, all: number) => `已完善 ${filled} 项，共 ${all} 项`,
  filled: '已填写',
  unfilled: '待填写',
  save: '保存',
  saved: '已保存',
  unchanged: '没有改动',
  stale: '资料已在别处修改过。这里已换成最新内容，请核对后重新修改。',
  take: '不填写',
  count: (count: number) => `已选 ${count} 项`,
  chapters: {
    basic: { title: '基本信息', note: '所属地区填写现居住地，精确到县（市、区）。' },
    status: {
      title: '政治面貌、学历与从业',
      note: '都可以不填写。填写后便于组织者安排合适的服务。',
    },
    skills: { title: '特长', note: '您会做什么，可以选几项。' },
    services: { title: '服务类别', note: '您愿意参加哪些方面的志愿服务，可以选几项。' },
  },
  fields: {
    region: '所属地区',
    leagueMember: '我是共青团员',
    politicalStatus: '政治面貌',
    education: '学历',
    employment: '从业状况',
    skills: '特长',
    serviceCategories: '服务类别',
  },
  member: '共青团员',
  noMember: '非共青团员',
  politicalStatus,
  education,
  employment,
  skills,
  serviceCategories,
}
