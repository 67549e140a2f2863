import type { Organization } from '@/gen/zhiyuan/orgtree/v1/organization_pb'
import { organizationOf, organizationsBelow } from './organizations'

/** No tree is deeper than 12; who reads its levels one by one stops somewhere. */
const LEVELS = 16

/** Whether an organization says whom to ask. */
export function hasContacts({ contacts }: Organization): boolean {
  return (
    contacts !== undefined && [contacts.phone, contacts.groupNumber, contacts.note].some(Boolean)
  )
}

/** An organization and all above it, from itself up to the root. */
export async function upwards(
  code: string,
  read: (code: string) => Promise<Organization | undefined> = organizationOf,
): Promise<Organization[]> {
  const way: Organization[] = []
  for (let next = code; next !== '' && way.length < LEVELS;) {
    const organization = await read(next)
    if (organization === undefined) break
    way.push(organization)
    // Who followed a closed organization has its people.
    const closed = organization.successorCode
    next =
      closed !== '' && !way.some((passed) => passed.code === closed)
        ? closed
        : organization.parentCode
  }
  return way
}

/** Who is asked of a registration: the first on the way up who says how. */
export function asked(way: Organization[]): Organization | undefined {
  return way.find(hasContacts)
}

/** Who is asked of technical things: the province. */
export async function province(): Promise<Organization | undefined> {
  const { items } = await organizationsBelow('', '')
  return items.find(hasContacts) ?? items[0]
}

/** A telephone number as it is dialled; empty if there is none in what people wrote. */
export function dialled(phone: string): string {
  const first = /\+?\(?\d[\d\s()-]{4,}\d/.exec(phone.normalize('NFKC'))?.[0] ?? ''
  return first.replace(/[^\d+]/g, '')
}
