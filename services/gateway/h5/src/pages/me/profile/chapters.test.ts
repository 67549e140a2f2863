import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'

import {
  Education,
  Employment,
  PoliticalStatus,
  ProfileSchema,
  ServiceCategory,
  Skill,
} from '@/gen/zhiyuan/registration/v1/profile_pb'
import { texts } from '@/texts'
import { CHAPTERS, choicesOf, detailsOf, isFilled, stated, summaryOf } from './chapters'

const bare = create(ProfileSchema, { details: { regionCode: '340122', leagueMember: true } })
const full = create(ProfileSchema, {
  details: {
    regionCode: '340122',
    politicalStatus: PoliticalStatus.LEAGUE_MEMBER,
    education: Education.UNDERGRADUATE,
    employment: Employment.STUDENT,
    skills: [Skill.DRIVING, Skill.SIGN_LANGUAGE],
    serviceCategories: [ServiceCategory.CARE],
  },
})

test('progress is how many chapters are filled', () => {
  const filled = (details = detailsOf(bare)) => CHAPTERS.filter((one) => isFilled(one, details))
  expect(filled()).toEqual(['basic'])
  expect(filled({ ...detailsOf(bare), education: Education.OTHER })).toEqual(['basic'])
  expect(filled(detailsOf(full))).toEqual([...CHAPTERS])
})

test('a chapter says in a line what is in it', () => {
  expect(summaryOf('basic', detailsOf(bare))).toBe(texts.profile.member)
  expect(summaryOf('status', detailsOf(bare))).toBe('')
  expect(summaryOf('skills', detailsOf(full)).split('、')).toHaveLength(2)
})

test('what is not stated is absent', () => {
  expect(stated(detailsOf(bare))).toEqual({
    regionCode: '340122',
    leagueMember: true,
    skills: [],
    serviceCategories: [],
  })
})

test('every choice of the contract has a name', () => {
  const numbers = (names: object) => Object.values(names).filter((one) => typeof one === 'number')
  const { politicalStatus, education, employment, skills, serviceCategories } = texts.profile
  for (const [all, names] of [
    [PoliticalStatus, politicalStatus],
    [Education, education],
    [Employment, employment],
    [Skill, skills],
    [ServiceCategory, serviceCategories],
  ] as const) {
    expect([0, ...choicesOf(names).map(({ value }) => value)]).toEqual(numbers(all))
  }
})
