/* The services that pages call which are opened first; loaded when they are called. */

export const consentService = async () =>
  (await import('@/gen/zhiyuan/identity/v1/consent_pb')).ConsentService

export const organizationService = async () =>
  (await import('@/gen/zhiyuan/orgtree/v1/organization_pb')).OrganizationService

export const regionService = async () =>
  (await import('@/gen/zhiyuan/orgtree/v1/region_pb')).RegionService

export const registrationService = async () =>
  (await import('@/gen/zhiyuan/registration/v1/registration_pb')).RegistrationService

export const smsCodeService = async () =>
  (await import('@/gen/zhiyuan/identity/v1/sms_code_pb')).SmsCodeService
