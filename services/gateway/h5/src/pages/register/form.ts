import type { MessageInitShape } from '@bufbuild/protobuf'

import { GuardianRelation } from '@/gen/zhiyuan/identity/v1/guardian_pb'
import type { RegisterRequestSchema } from '@/gen/zhiyuan/registration/v1/registration_pb'
import type { GivenConsent } from '@/pieces/ConsentList.vue'
import { compact } from '@/pieces/typing'

/** Who consents for somebody of 14 to 17. */
export interface GuardianForm {
  name: string
  idNumber: string
  relation: GuardianRelation
  phone: string
  smsChallengeId: string
  smsCode: string
}

/** The form of the notice, as it is typed. */
export interface RegisterForm {
  name: string
  idNumber: string
  regionCode: string
  organizationCode: string
  phone: string
  smsChallengeId: string
  smsCode: string
  password: string
  leagueMember: boolean
  ownIncome: boolean
  consents: GivenConsent[]
  guardian: GuardianForm
  claimStatement: string
}

export function emptyForm(): RegisterForm {
  return {
    name: '',
    idNumber: '',
    regionCode: '',
    organizationCode: '',
    phone: '',
    smsChallengeId: '',
    smsCode: '',
    password: '',
    leagueMember: false,
    ownIncome: false,
    consents: [],
    guardian: {
      name: '',
      idNumber: '',
      relation: GuardianRelation.UNSPECIFIED,
      phone: '',
      smsChallengeId: '',
      smsCode: '',
    },
    claimStatement: '',
  }
}

export type RegisterBody = Omit<MessageInitShape<typeof RegisterRequestSchema>, '$typeName'>

/** What is sent of a form, but for the request id. */
export function bodyOf(
  form: RegisterForm,
  about: { guardian: boolean; activationProof: string },
): RegisterBody {
  const { guardian } = form
  const person =
    about.activationProof === ''
      ? {
          name: form.name.trim(),
          idNumber: compact(form.idNumber).toUpperCase(),
          phone: compact(form.phone),
          smsChallengeId: form.smsChallengeId,
          smsCode: form.smsCode,
          claimStatement: form.claimStatement.trim(),
        }
      : { activationProof: about.activationProof }
  return {
    ...person,
    regionCode: form.regionCode,
    organizationCode: form.organizationCode,
    password: form.password,
    leagueMember: form.leagueMember,
    ownIncome: form.ownIncome,
    consents: form.consents.map(({ purpose, version }) => ({ purpose, version })),
    ...(about.guardian
      ? {
          guardian: {
            name: guardian.name.trim(),
            idNumber: compact(guardian.idNumber).toUpperCase(),
            relation: guardian.relation,
            phone: compact(guardian.phone),
            smsChallengeId: guardian.smsChallengeId,
            smsCode: guardian.smsCode,
          },
        }
      : {}),
  }
}
