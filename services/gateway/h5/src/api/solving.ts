import { sha256 } from '@noble/hashes/sha2.js'

/** Finds the nonce with which the SHA-256 of `challenge.nonce` begins with so many bits of zero. */
export function solve(challenge: string, bits: number): string {
  const encoder = new TextEncoder()
  for (let tried = 0; ; tried += 1) {
    const nonce = tried.toString(36)
    if (zeroBits(sha256(encoder.encode(`${challenge}.${nonce}`))) >= bits) return nonce
  }
}

/** How many bits are zero before the first that isn't. */
export function zeroBits(digest: Uint8Array): number {
  let bits = 0
  for (const byte of digest) {
    if (byte !== 0) return bits + Math.clz32(byte) - 24
    bits += 8
  }
  return bits
}
