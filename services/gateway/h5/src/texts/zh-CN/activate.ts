/** What stands where people begin whom an organization put on its roster. */
export const activate = {
  title: '用默认密码首次登录',
  lead: '团组织已经为您录入信息、您自己还没有注册过的，可以在这里用默认密码开始。',
  steps: [
    '用团组织登记的手机号码获取短信验证码。',
    '填写默认密码：身份证号码的后 8 位。',
    '核对并补全信息，设置自己的密码，完成注册。',
  ],
  phone: '手机号码',
  phonePlaceholder: '请输入团组织登记的手机号码',
  phoneFormat: '请输入 11 位手机号码',
  password: '默认密码',
  passwordPlaceholder: '身份证号码后 8 位',
  passwordFormat: '请输入身份证号码的后 8 位，最后一位可能是 X',
  codeMissing: '请输入 6 位短信验证码',
  codeFirst: '请先获取短信验证码',
  submit: '下一步',
  nothing:
    '没有收到短信的，可能是手机号码与团组织登记的不一致，或您已经注册过。已经注册过的请直接登录；其他情况可以直接注册。',
  register: '直接注册',
  signIn: '去登录',
}
