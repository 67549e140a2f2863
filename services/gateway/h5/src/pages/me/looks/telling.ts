import { ActorKind, type AuditRecord } from '@/gen/zhiyuan/identity/v1/audit_pb'
import { texts } from '@/texts'

const words = texts.me.looks

/** Who did something, as the person knows them; `own` is the person's account. */
export function actorOf({ actorKind, actor }: AuditRecord, own: string): string {
  switch (actorKind) {
    case ActorKind.PERSON:
      return actor === own ? words.me : words.administrator
    case ActorKind.SERVICE_ACCOUNT:
      return words.platform(actor)
    case ActorKind.SERVICE:
      return words.system
    case ActorKind.OPERATOR:
      return words.operator
    case ActorKind.UNSPECIFIED:
      return words.somebody
  }
}

/** What was done. */
export function actOf({ action }: AuditRecord): string {
  return Object.hasOwnProperty.call(words.actions, action)
    ? (words.actions[action] ?? '')
    : words.other(action)
}

/** What for; empty if nothing was said. */
export function purposeOf({ action, purpose }: AuditRecord): string {
  if (!action.startsWith('identity.consent.')) return purpose
  return words.consentWords[purpose] ?? purpose
}
