/** What stands where a forgotten password is replaced. */
export const resetPassword = {
  title: '重设密码',
  lead: '用账号的手机号码获取短信验证码，设置一个新密码。设置后，所有设备上的登录都会退出。',
  phone: '手机号码',
  phonePlaceholder: '请输入账号的手机号码',
  newPassword: '新密码',
  submit: '设置新密码',
  lostPhone: '手机号码不用了，收不到验证码',
}
