/** What stands around all pages. */
export const app = {
  name: '志愿安徽',
  home: '首页',
  register: '注册志愿者',
  signIn: '登录',
  me: '我是青年志愿者',
  help: '帮助',
  back: '返回',
  notFound: '没有找到这个页面',
  toHome: '回到首页',
  loading: '正在加载…',
  retry: '重试',
  cancel: '取消',
  confirm: '确定',
}
