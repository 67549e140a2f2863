import { expect } from 'vitest'

/** Somebody who, with any luck, doesn't exist. */
export interface Person {
  name: string
  idNumber: string
  phone: string
  password: string
}

const SURNAMES = [...'王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗']
const GIVEN_NAMES = ['子涵', '欣怡', '浩然', '雨桐', '思远', '梓萱', '一诺', '明轩', '佳琪', '志强']
/** 瑶海区. */
const COUNTY = '340102'
/** ID numbers of one birthday: 001 to 999. */
const OF_A_DAY = 999

const today = new Date()
let met = 0

/** An adult whom no other journey knows; `ending` ends the name, as the stand-in register wants it. */
export function adult(ending = ''): Person {
  return person(30, '138', ending)
}

/** Somebody of the age of members of the League. */
export function member(): Person {
  return person(20, '137', '')
}

/** Somebody of 15. */
export function minor(): Person {
  return person(15, '139', '')
}

function person(age: number, prefix: string, ending: string): Person {
  const n = series() + met
  met += 1
  // The birthday was a while ago, whichever way ages are counted.
  const birth = new Date(Date.UTC(today.getUTCFullYear() - age, today.getUTCMonth(), 1))
  birth.setUTCDate(birth.getUTCDate() - 40 - Math.floor(n / OF_A_DAY))
  const day = birth.toISOString().slice(0, 10).replaceAll('-', '')
  const first17 = `${COUNTY}${day}${String(1 + (n % OF_A_DAY)).padStart(3, '0')}`
  return {
    name: `${SURNAMES[n % SURNAMES.length]}${GIVEN_NAMES[n % GIVEN_NAMES.length]}${ending}`,
    idNumber: `${first17}${checkCharacter(first17)}`,
    phone: `${prefix}${String(n).padStart(8, '0')}`,
    password: 'luzhou-2026',
  }
}

/** Files of journeys don't know of each other, and each begins with people of its own. */
function series(): number {
  const file = expect.getState().testPath ?? ''
  let sum = 7
  for (const letter of file.slice(file.lastIndexOf('/'))) {
    sum = (sum * 31 + letter.charCodeAt(0)) % 900
  }
  return sum * 100
}

/** GB 11643-1999. */
function checkCharacter(first17: string): string {
  let sum = 0
  for (const digit of first17) sum = ((sum + Number(digit)) * 2) % 11
  return '0123456789X'.charAt((12 - sum) % 11)
}
