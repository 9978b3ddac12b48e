/**
 * The claims that a worker holds on numbers whose handlers run: renewed until the mark is written, so that only a worker
 * that is dead or stands still loses one. What another has taken meanwhile is told.
 */
import type { EpochKey } from './seen.js'

/** Renewed this many times within a lease. */
const RENEWALS = 4
/** Claims in one request. */
const MAX_BATCH = 256

export interface Claim {
  readonly key: EpochKey
  readonly seq: number
  /** Where the store keeps it. */
  readonly name: string
  readonly token: string
  overtaken: boolean
}

export interface ClaimsOptions {
  readonly leaseMs: number
  /** Renews; resolves with the places (from 0) of those that others have taken. */
  readonly renew: (claims: readonly Claim[]) => Promise<readonly number[]>
  readonly overtaken: (claim: Claim) => void
}

export class Claims {
  readonly #options: ClaimsOptions
  readonly #held: Map<string, Claim> = new Map()
  readonly #worker: string
  #timer: NodeJS.Timeout | undefined
  #count = 0

  /** @param worker - tells one worker's claims from another's */
  constructor(worker: string, options: ClaimsOptions) {
    this.#worker = worker
    this.#options = options
  }

  find(name: string): Claim | undefined {
    return this.#held.get(name)
  }

  /** A token that no other claim has. */
  token(): string {
    this.#count += 1
    return `${this.#worker}:${this.#count}`
  }

  /** It was granted: it is renewed from now on. */
  add(claim: Claim): void {
    this.#held.set(claim.name, claim)
    this.#timer ??= setInterval(() => this.#renew(), this.#options.leaseMs / RENEWALS)
  }

  /** It has ended: marked or given back. */
  drop(claim: Claim): void {
    if (this.#held.get(claim.name) === claim) this.#held.delete(claim.name)
  }

  /** Nothing is renewed any more. */
  stop(): void {
    clearInterval(this.#timer)
    this.#held.clear()
  }

  #renew(): void {
    const all = [...this.#held.values()]
    for (let i = 0; i < all.length; i += MAX_BATCH) void this.#renewSome(all.slice(i, i + MAX_BATCH))
  }

  /** n.b. where the store does not answer the claims run out: whoever takes one over is found at the next answer. */
  async #renewSome(claims: readonly Claim[]): Promise<void> {
    const taken = await this.#options.renew(claims).catch(() => [])
    for (const i of taken) {
      const claim = claims[i]
      if (!claim || claim.overtaken || this.#held.get(claim.name) !== claim) continue
      claim.overtaken = true
      this.#options.overtaken(claim)
    }
  }
}
