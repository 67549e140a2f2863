import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { create, type DescService, type MessageInitShape } from '@bufbuild/protobuf'
import { ConnectError, createClient, type Client, type Interceptor } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-web'
import { expect, vi } from 'vitest'

import { RetryInfoSchema } from '@/gen/google/rpc/error_details_pb'
import { ConsentService } from '@/gen/zhiyuan/identity/v1/consent_pb'
import { GuardianRelation, GuardianSchema } from '@/gen/zhiyuan/identity/v1/guardian_pb'
import { SignInService } from '@/gen/zhiyuan/identity/v1/sign_in_pb'
import { SmsCodeService, SmsPurpose } from '@/gen/zhiyuan/identity/v1/sms_code_pb'
import { ProfileService } from '@/gen/zhiyuan/registration/v1/profile_pb'
import {
  RegistrationService,
  RegisterRequestSchema,
  type RegisterResponse,
} from '@/gen/zhiyuan/registration/v1/registration_pb'
import { RosterImportState, RosterService } from '@/gen/zhiyuan/registration/v1/roster_pb'
import type { Person } from './people.ts'

/** 合肥市肥东县店埠镇. */
export const ORGANIZATION = { code: 'AH-340122100', name: '共青团店埠镇委员会' }
export const REGION = { code: '340122', path: ['安徽省', '合肥市', '肥东县'] }

/** The side of the suite that people at the pages don't see. */
export class Driver {
  constructor(
    private readonly gateway: string,
    private readonly simulator: string,
    /** Of somebody who has signed in. */
    private readonly token?: string,
  ) {}

  /** A client of a service, as nobody in particular or as who has signed in. */
  of<T extends DescService>(service: T): Client<T> {
    const bearer: Interceptor = (next) => (request) => {
      if (this.token !== undefined) request.header.set('authorization', `Bearer ${this.token}`)
      return next(request)
    }
    const transport = createConnectTransport({ baseUrl: this.gateway, interceptors: [bearer] })
    return createClient(service, transport)
  }

  /** The messages that came to a phone, newest first. */
  async inbox(phone: string): Promise<{ text: string; code: string | null }[]> {
    const answer = await fetch(`${this.simulator}/sms?phone=${phone}`)
    return (await answer.json()) as { text: string; code: string | null }[]
  }

  /** The newest code that came to a phone, once there are so many. */
  async code(phone: string, messages = 1): Promise<string> {
    const codes = async () => (await this.inbox(phone)).flatMap(({ code }) => code ?? [])
    await vi.waitFor(async () => expect(await codes()).toHaveLength(messages), 15_000)
    return (await codes())[0] ?? ''
  }

  /** Waits for a message with this text. */
  async message(phone: string, text: string): Promise<void> {
    const texts = async () => (await this.inbox(phone)).map((message) => message.text).join('\n')
    await expect.poll(texts, { timeout: 30_000 }).toContain(text)
  }

  /** Has a code sent, reads it, and answers both parts of it. */
  private async proof(phone: string, purpose: SmsPurpose) {
    const sent = (await this.inbox(phone)).filter(({ code }) => code !== null).length
    const codes = this.of(SmsCodeService)
    const { challengeId } = await patiently(() => codes.sendSmsCode({ phone, purpose }))
    return { smsChallengeId: challengeId, smsCode: await this.code(phone, sent + 1) }
  }

  /** Registers somebody, and a guardian for who needs one. */
  async register(person: Person, guardian?: Person): Promise<RegisterResponse> {
    const { consentTexts } = await this.of(ConsentService).listConsentTexts({})
    const form: MessageInitShape<typeof RegisterRequestSchema> = {
      requestId: randomUUID(),
      name: person.name,
      idNumber: person.idNumber,
      regionCode: REGION.code,
      organizationCode: ORGANIZATION.code,
      phone: person.phone,
      password: person.password,
      leagueMember: true,
      consents: consentTexts
        .filter(({ required }) => required)
        .map(({ purpose, version }) => ({ purpose, version })),
      ...(await this.proof(person.phone, SmsPurpose.REGISTER)),
    }
    if (guardian !== undefined) {
      form.guardian = create(GuardianSchema, {
        name: guardian.name,
        idNumber: guardian.idNumber,
        phone: guardian.phone,
        relation: GuardianRelation.MOTHER,
        ...(await this.proof(guardian.phone, SmsPurpose.GUARDIAN_CONSENT)),
      })
    }
    return this.of(RegistrationService).register(form)
  }

  /** Signs in by password, as another client than the pages. */
  async signIn(person: { phone: string; password: string }): Promise<Driver> {
    const { phone: identifier, password } = person
    const { tokens } = await this.of(SignInService).signIn({ identifier, password })
    return new Driver(this.gateway, this.simulator, tokens?.accessToken)
  }

  /** Signs in with both factors, as the administrator of the province. */
  async administrator(data: string): Promise<Driver> {
    const file = readFileSync(join(data, 'accounts/administrator.json'), 'utf8')
    const { phone, password } = JSON.parse(file) as { phone: string; password: string }
    const factors = await this.proof(phone, SmsPurpose.SIGN_IN)
    const asked = { identifier: phone, password, ...factors }
    const { tokens } = await this.of(SignInService).signIn(asked)
    return new Driver(this.gateway, this.simulator, tokens?.accessToken)
  }

  /** The record of who has signed in. */
  async profile() {
    const { profile } = await this.of(ProfileService).getMyProfile({})
    if (profile === undefined) throw new Error('there is no record')
    return profile
  }

  /** Puts people on the roster of an organization; the caller administers it. */
  async putOnRoster(organizationCode: string, people: Person[]): Promise<void> {
    const rosters = this.of(RosterService)
    const rows = people.map(({ idNumber, name, phone }) => `${idNumber},${name},${phone}`)
    const file = Buffer.from(['身份证号,姓名,联系电话', ...rows, ''].join('\n'))
    const begun = await rosters.createRosterImport({
      requestId: randomUUID(),
      organizationCode,
      fileName: '名册.csv',
      sizeBytes: BigInt(file.length),
      sha256: createHash('sha256').update(file).digest('hex'),
    })
    const importId = begun.import?.id ?? ''
    await rosters.uploadRosterPiece({ importId, index: 0, data: file })
    const state = async () => (await rosters.getRosterImport({ importId })).import?.state
    await expect.poll(state, { timeout: 30_000 }).toBe(RosterImportState.CHECKED)
    await rosters.startRosterImport({ requestId: randomUUID(), importId })
    await expect.poll(state, { timeout: 30_000 }).toBe(RosterImportState.DONE)
  }
}

/** A phone gets one code a minute: who asks too soon is told how long to wait. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (thrown) {
      const wait = ConnectError.from(thrown).findDetails(RetryInfoSchema)[0]?.retryDelay
      if (wait === undefined) throw thrown
      await new Promise((done) => setTimeout(done, Number(wait.seconds) * 1000 + 1000))
    }
  }
}
