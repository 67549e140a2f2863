import type { MessageInitShape } from '@bufbuild/protobuf'

import type {
  Profile,
  ProfileDetailsSchema,
  ServiceCategory,
  Skill,
} from '@/gen/zhiyuan/registration/v1/profile_pb'
import { texts } from '@/texts'

const words = texts.profile

export const CHAPTERS = ['basic', 'status', 'skills', 'services'] as const
export type Chapter = (typeof CHAPTERS)[number]

/** What a volunteer states, as it is edited: nothing that is not stated is left out. */
export interface Details {
  regionCode: string
  leagueMember: boolean
  politicalStatus: number | undefined
  education: number | undefined
  employment: number | undefined
  skills: Skill[]
  serviceCategories: ServiceCategory[]
}

/** The fields of the contract that a chapter changes. */
export const PATHS: Record<Chapter, string[]> = {
  basic: ['region_code', 'league_member'],
  status: ['political_status', 'education', 'employment'],
  skills: ['skills'],
  services: ['service_categories'],
}

/** What is stated in a record. */
export function detailsOf({ details }: Profile): Details {
  return {
    regionCode: details?.regionCode ?? '',
    leagueMember: details?.leagueMember ?? false,
    politicalStatus: details?.politicalStatus,
    education: details?.education,
    employment: details?.employment,
    skills: [...(details?.skills ?? [])],
    serviceCategories: [...(details?.serviceCategories ?? [])],
  }
}

/** As the contract wants it: what is not stated is absent. */
export function stated(details: Details): MessageInitShape<typeof ProfileDetailsSchema> {
  const { politicalStatus, education, employment, ...rest } = details
  return {
    ...rest,
    ...(politicalStatus === undefined ? {} : { politicalStatus }),
    ...(education === undefined ? {} : { education }),
    ...(employment === undefined ? {} : { employment }),
  }
}

/** Whether a chapter has all that it asks for. */
export function isFilled(chapter: Chapter, details: Details): boolean {
  switch (chapter) {
    case 'basic':
      return details.regionCode !== ''
    case 'status':
      return [details.politicalStatus, details.education, details.employment].every(
        (field) => field !== undefined,
      )
    case 'skills':
      return details.skills.length > 0
    case 'services':
      return details.serviceCategories.length > 0
  }
}

/** What a chapter says, in a line. */
export function summaryOf(chapter: Chapter, details: Details): string {
  const said: (string | undefined)[] = {
    basic: () => [details.leagueMember ? words.member : words.noMember],
    status: () => [
      nameOf(words.politicalStatus, details.politicalStatus),
      nameOf(words.education, details.education),
      nameOf(words.employment, details.employment),
    ],
    skills: () => details.skills.map((skill) => nameOf(words.skills, skill)),
    services: () => details.serviceCategories.map((one) => nameOf(words.serviceCategories, one)),
  }[chapter]()
  return said.filter((one) => one !== undefined).join('、')
}

/** What can be chosen, in the order of the contract. */
export function choicesOf(names: Record<string, string>): { value: number; text: string }[] {
  return Object.entries(names).map(([value, text]) => ({ value: Number(value), text }))
}

/** The name of a choice; `undefined` for none, and for one that is newer than this page. */
export function nameOf(names: Record<string, string>, value: number | undefined) {
  return value === undefined ? undefined : names[value]
}
