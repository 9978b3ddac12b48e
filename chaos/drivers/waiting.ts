/** Waiting for a cluster to be as ordered. */
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 200
const LIMIT_MS = 20_000

/** Resolves when it holds. @throws Error after the limit */
export async function until(
  holds: () => Promise<boolean>,
  what: string,
  limitMs: number = LIMIT_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs
  for (;;) {
    if (await holds()) return
    if (performance.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain for ${what}`)
    await sleep(POLL_MS)
  }
}
