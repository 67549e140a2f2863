/** The first page. */
export const home = {
  title: '成为注册志愿者',
  lead: '安徽省青年志愿者注册',
  register: '注册志愿者',
  signIn: '登录',
  me: '我是青年志愿者',
  news: '指南与动态',
  newsHint: '使用指南、活动信息、新闻动态',
  help: '帮助',
  helpHint: '注册指南、常见问题、联系方式',
  activate: '组织已为我预注册',
  activateHint: '用默认密码和短信验证码首次登录',
  promises: [
    '一张表单，几分钟完成，常态化记录志愿服务',
    '实名核验，信息加密保存，是否对外提供由您选择',
    '服务时长作为评选优秀青年志愿者的依据',
  ],
  pending: '查看注册进度',
  draft: '继续填写上次的注册表',
}
