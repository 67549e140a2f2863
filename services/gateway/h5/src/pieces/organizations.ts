import { organizationService } from '@/api/services'
import { clientOf } from '@/api/transport'
import type { Organization } from '@/gen/zhiyuan/orgtree/v1/organization_pb'
import { texts } from '@/texts'

const organizations = clientOf(organizationService)
const PAGE = 50
const { naming } = texts.pieces.organization

const known = new Map<string, Organization>()

export interface OrganizationPage {
  items: Organization[]
  nextPageToken: string
}

/** A page of what lies directly below an organization; of the roots for ''. */
export async function organizationsBelow(
  parentCode: string,
  pageToken: string,
): Promise<OrganizationPage> {
  const page = await organizations.listOrganizations({ parentCode, pageSize: PAGE, pageToken })
  return remember(page.organizations, page.nextPageToken)
}

/** A page of those whose name contains the query. */
export async function organizationsNamed(
  query: string,
  registrableOnly: boolean,
  pageToken: string,
): Promise<OrganizationPage> {
  const page = await organizations.listOrganizations({
    query: [...query].slice(0, 50).join(''),
    registrableOnly,
    pageSize: PAGE,
    pageToken,
  })
  return remember(page.organizations, page.nextPageToken)
}

/** An organization by its code. */
export async function organizationOf(code: string): Promise<Organization | undefined> {
  const had = known.get(code)
  if (had !== undefined) return had
  const { organization } = await organizations.getOrganization({ code })
  if (organization !== undefined) known.set(code, organization)
  return organization
}

function remember(items: Organization[], nextPageToken: string): OrganizationPage {
  items.forEach((organization) => known.set(organization.code, organization))
  return { items, nextPageToken }
}

/**
 * What a name is searched by: people say 安徽大学团委 of what is called 共青团安徽大学委员会, so
 * that only what is between is looked for.
 */
export function soughtName(typed: string): string {
  const text = typed.replace(/\s+/g, '')
  const short = text.replace(naming.before, '').replace(naming.after, '')
  return short === '' ? text : short
}

/** What stands above an organization, as people read it. */
export function aboveName({ ancestorNames }: Organization): string {
  return ancestorNames.map(shortName).join(' › ')
}

/** `共青团合肥市委员会` is long where only the place matters. */
export function shortName(name: string): string {
  return naming.whole.exec(name)?.[1] ?? name
}
