import { regionService } from '@/api/services'
import { clientOf } from '@/api/transport'
import type { Region } from '@/gen/zhiyuan/orgtree/v1/region_pb'

const regions = clientOf(regionService)
const PAGE = 100

const known = new Map<string, Region>()
const below = new Map<string, Region[]>()

/** The regions directly below another, all pages of them; the provinces for ''. */
export async function regionsBelow(parentCode: string): Promise<Region[]> {
  const had = below.get(parentCode)
  if (had !== undefined) return had
  const found: Region[] = []
  let pageToken = ''
  do {
    const page = await regions.listRegions({ parentCode, pageSize: PAGE, pageToken })
    found.push(...page.regions)
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  found.forEach((region) => known.set(region.code, region))
  below.set(parentCode, found)
  return found
}

/** A region, also one that is no more. */
export async function regionOf(code: string): Promise<Region | undefined> {
  const had = known.get(code)
  if (had !== undefined && !had.abolished) return had
  const { region } = await regions.getRegion({ code })
  if (region !== undefined) known.set(code, region)
  return region
}

/** The regions from the province down to this one. */
export async function regionPath(code: string): Promise<Region[]> {
  const path: Region[] = []
  for (let next = code; next !== '';) {
    const region = await regionOf(next)
    if (region === undefined) break
    path.unshift(region)
    next = region.parentCode
  }
  return path
}

/** The path as people read it: `安徽省 合肥市 肥东县`. */
export async function regionName(code: string): Promise<string> {
  return (await regionPath(code)).map(({ name }) => name).join(' ')
}
