/**
 * The seen store that several workers of one inbox share, in Redis: claim → handler → mark. A claim has a lease, renewed
 * while the handler runs; a worker that dies holds its message for as long as that, then another takes it over.
 *
 * n.b. a broker that hands copies of one envelope to two workers is stopped by the claim. What is left is the window of
 * `file`: a worker that dies, or stands still for longer than the lease, between the handler's end and the mark.
 */
import { createHash, randomBytes } from 'node:crypto'
import { toHex } from '../bytes.js'
import { asError, SealbusError } from '../errors.js'
import { partyKey, SKEW_MS } from '../wire.js'
import { type Claim, Claims } from './claims.js'
import { Patience } from './patience.js'
import { Presence } from './presence.js'
import type {
  EpochKey,
  EpochRecord,
  Known,
  Mark,
  Recalled,
  SeenHooks,
  SeenMark,
  SeenMemory,
  SeenStore,
} from './seen.js'
import { epochFields, parseEpochFields } from './shared-seen-fields.js'
import {
  CLAIM,
  CLOSE,
  MARK,
  NOTE,
  OPEN,
  PRESENT,
  RECALL,
  RELEASE,
  RENEW,
  SCRIPTS,
  TIME,
} from './shared-seen-scripts.js'

/** How often a number that another worker has claimed is asked for. */
const POLL_MS = 100
const DEFAULT_LEASE_MS = 2_000
const DEFAULT_LIFETIME_MS = 24 * 3600_000
/** For what is under way when the store closes. */
const CLOSE_MS = 2_000
/** A worker that has died counts this long. */
const PRESENT_MS = 6_000

/** One command of Redis as words; node-redis has it so. For ioredis: `{ sendCommand: ([name = '', ...rest]) => redis.call(name, ...rest) }`. */
export interface RedisClient {
  sendCommand(words: string[]): Promise<unknown>
}

export interface SharedSeenOptions {
  /** Connected, one connection (no pool), and mending its own losses. It stays the application's: nobody else closes it. */
  readonly client: RedisClient
  /** Begins every key; the braces keep them in one slot of a Redis cluster. Default `{sealbus}`. */
  readonly prefix?: string
  /** How long the claim of a worker that has died holds its message, ms, 500..600 000. Default 2 000. */
  readonly leaseMs?: number
}

/** @throws RangeError for a lease beyond 500..600 000 ms */
export function sharedSeen(options: SharedSeenOptions): SeenStore {
  const { leaseMs = DEFAULT_LEASE_MS } = options
  if (!(Number.isInteger(leaseMs) && leaseMs >= 500 && leaseMs <= 600_000))
    throw new RangeError(`leaseMs: expected a whole number 500..600000, got ${leaseMs}`)
  return new SharedSeen({ prefix: '{sealbus}', ...options, leaseMs })
}

class SharedSeen implements SeenStore {
  readonly kind = 'shared'
  readonly #options: Required<SharedSeenOptions>
  readonly #patience: Patience = new Patience('Redis')
  readonly #claims: Claims
  readonly #presence: Presence = new Presence(async (address, id, leaves) => {
    const words = [id, leaves ? '0' : String(PRESENT_MS)]
    const [, count] = await this.#run(PRESENT, [`${this.#options.prefix}:w:${address}`], words)
    return Number(count)
  })
  readonly #underWay: Set<Promise<unknown>> = new Set()
  /** Claims that are asked for. */
  readonly #wanted: Map<string, Claim> = new Map()
  #hooks: SeenHooks | undefined
  /** Of the memory that we know. */
  #id = ''
  /** The highest count of marks that we were told. */
  #count = 0
  /** What is noted now repairs a memory that was set back. */
  #isBack = false
  #closing: Promise<void> | undefined

  constructor(options: Required<SharedSeenOptions>) {
    this.#options = options
    this.#claims = new Claims(toHex(randomBytes(8)), {
      leaseMs: options.leaseMs,
      renew: claims => this.#renew(claims),
      overtaken: ({ key, seq }) => this.#hooks?.overtaken(key, seq),
    })
  }

  async start(hooks?: SeenHooks): Promise<SeenMemory> {
    this.#hooks = hooks
    this.#patience.tell(hooks)
    const timeMs = await this.#open()
    this.#presence.begin()
    return { epochs: [], closedBefore: new Map(), highestTimeMs: timeMs, lost: false }
  }

  async recall(key: EpochKey): Promise<Recalled> {
    const [, fields, closed] = await this.#ask(RECALL, key, this.#closedKey(key), [])
    const record = parseEpochFields(key, fields as unknown[])
    return { record, closedBefore: closed === '' ? undefined : Number(closed) }
  }

  async check(key: EpochKey, seq: number): Promise<Known | undefined> {
    const name = this.#claimKey(key, seq)
    const claim: Claim = { key, seq, name, token: this.#claims.token(), overtaken: false }
    this.#wanted.set(name, claim)
    const args = [String(seq), claim.token, String(this.#options.leaseMs)]
    try {
      for (;;) {
        const [word, mark, hash] = await this.#track(this.#ask(CLAIM, key, name, args))
        if (word === 'known') return { mark: mark as Mark, hash: String(hash) }
        if (word === 'claimed') this.#claims.add(claim)
        if (this.#wanted.get(name) !== claim) this.release(key, seq)
        else if (word !== 'claimed') await this.#patience.sleep(Math.max(1, Math.min(POLL_MS, Number(mark))))
        if (word === 'claimed' || this.#wanted.get(name) !== claim) return undefined
      }
    } finally {
      if (this.#wanted.get(name) === claim) this.#wanted.delete(name)
    }
  }

  /** n.b. what is still being claimed is given back when it is granted. */
  release(key: EpochKey, seq: number): void {
    const name = this.#claimKey(key, seq)
    this.#wanted.delete(name)
    const claim = this.#claims.find(name)
    if (!claim) return
    this.#claims.drop(claim)
    this.#track(this.#run(RELEASE, [claim.name], [claim.token])).catch(() => undefined) // it ends by itself
  }

  transaction<R>(run: (tx: undefined) => Promise<R>): Promise<R> {
    return run(undefined)
  }

  mark(mark: SeenMark): Promise<void> {
    return this.#track(this.#mark(mark))
  }

  note(record: EpochRecord): void {
    const fields = epochFields(record)
    const isBack = this.#isBack ? '1' : ''
    const args = [this.#keepMs(), String(record.floor), isBack, String(fields.length), ...fields]
    const skipped = record.skipped.map(String)
    const noting = this.#ask(NOTE, record, this.#memoryKey, [...args, ...skipped])
    this.#track(noting).catch(() => undefined) // whoever marks next is told
  }

  /** n.b. an epoch goes by its time alone: another worker may still be in it. */
  forget(key: EpochKey, closedBefore?: number): void {
    if (closedBefore === undefined) return
    const args = [String(closedBefore), this.#keepMs()]
    this.#track(this.#ask(CLOSE, key, this.#closedKey(key), args)).catch(() => undefined)
  }

  time(highestMs: number): void {
    this.#track(this.#run(TIME, [this.#memoryKey], [this.#id, String(highestMs)])).catch(() => undefined)
  }

  join(address: string): void {
    this.#presence.join(address)
  }

  workers(): Promise<number | undefined> {
    return this.#presence.count()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #mark(mark: SeenMark): Promise<void> {
    const claim = this.#claims.find(this.#claimKey(mark, mark.seq))
    const args = [String(mark.seq), mark.mark, mark.hash, claim?.token ?? '', this.#keepMs()]
    const name = this.#claimKey(mark, mark.seq)
    const [, , overtaken, attempt] = await this.#ask(MARK, mark, name, args)
    if (claim) this.#claims.drop(claim)
    // n.b. an earlier attempt may have marked it, and ended the claim
    if (claim && !claim.overtaken && overtaken === 1 && attempt === 0) this.#hooks?.overtaken(mark, mark.seq)
  }

  /** n.b. a Redis that was set back, by a restart or by a replica that took over, has counted fewer marks than it has told. */
  #counted(count: number): void {
    const isBack = count <= this.#count
    this.#count = count
    if (isBack) this.#tellLost()
  }

  /** Whoever hears it notes at once what is known. */
  #tellLost(): void {
    this.#isBack = true
    this.#hooks?.lost()
    this.#isBack = false
  }

  /** Finds the memory, or makes it. Resolves with the highest time. */
  async #open(): Promise<number> {
    const isFinal = (error: Error): boolean => /^(NOAUTH|NOPERM|WRONGPASS|WRONGTYPE)\b/.test(error.message)
    try {
      const ask = (): Promise<unknown[]> => this.#run(OPEN, [this.#memoryKey], [toHex(randomBytes(8))])
      const [, id, timeMs, count] = await this.#patience.until(ask, isFinal)
      // n.b. a script that Redis does not know yet would be sent twice, and overtaken by the next
      const load = (script: string): Promise<unknown> =>
        this.#options.client.sendCommand(['SCRIPT', 'LOAD', script])
      await Promise.all(SCRIPTS.map(load)).catch(() => undefined)
      this.#id = String(id)
      this.#count = Number(count)
      return Number(timeMs)
    } catch (thrown) {
      if (thrown instanceof SealbusError) throw thrown
      const message = `Redis refuses: ${asError(thrown).message}; give the client a user that may use keys "${this.#options.prefix}*"`
      throw new SealbusError('store-failed', message, { cause: thrown })
    }
  }

  /** Runs a script about an epoch, until there is an answer; the last of it says at which attempt. */
  async #ask(script: string, key: EpochKey, third: string, args: readonly string[]): Promise<unknown[]> {
    for (;;) {
      const id = this.#id
      const answer = await this.#patience.until(async attempt => [
        ...(await this.#run(script, [this.#memoryKey, this.#epochKey(key), third], [id, ...args])),
        attempt,
      ])
      if (answer[0] !== 'lost') return answer
      if (this.#id === id) await this.#lost(id)
    }
  }

  /** n.b. several may find it lost at once: the first makes it anew, and tells. */
  async #lost(id: string): Promise<void> {
    await this.#open()
    if (this.#id !== id) this.#tellLost()
  }

  async #renew(claims: readonly Claim[]): Promise<readonly number[]> {
    const names = claims.map(({ name }) => name)
    const tokens = claims.map(({ token }) => token)
    const [, ...taken] = await this.#run(RENEW, names, [String(this.#options.leaseMs), ...tokens])
    return taken.map(place => Number(place) - 1)
  }

  async #run(script: string, keys: readonly string[], args: readonly string[]): Promise<unknown[]> {
    const answer = await this.#send(script, [String(keys.length), ...keys, ...args])
    if (!isList(answer))
      throw new TypeError(
        `Redis: expected a list, got ${typeof answer}; give a client that changes no answers`,
      )
    if (answer[0] === 'marked') this.#counted(Number(answer[1]))
    return answer
  }

  /** By its digest; with its text where Redis does not know it yet. */
  #send(script: string, rest: readonly string[]): Promise<unknown> {
    const { client } = this.#options
    return client.sendCommand(['EVALSHA', digest(script), ...rest]).catch((thrown: unknown) => {
      if (!asError(thrown).message.startsWith('NOSCRIPT')) throw thrown
      return client.sendCommand(['EVAL', script, ...rest])
    })
  }

  #track<T>(promise: Promise<T>): Promise<T> {
    this.#underWay.add(promise)
    const done = (): void => void this.#underWay.delete(promise)
    promise.then(done, done)
    return promise
  }

  async #close(): Promise<void> {
    const late = new Promise<void>(resolve => setTimeout(resolve, CLOSE_MS).unref())
    await Promise.race([Promise.allSettled([...this.#underWay, this.#presence.end()]), late])
    this.#patience.stop()
    this.#claims.stop()
  }

  get #memoryKey(): string {
    return `${this.#options.prefix}:memory`
  }

  #epochKey(key: EpochKey): string {
    return `${this.#options.prefix}:e:${partyKey(key)}/${key.epoch}`
  }

  #claimKey(key: EpochKey, seq: number): string {
    return `${this.#options.prefix}:c:${partyKey(key)}/${key.epoch}:${seq}`
  }

  #closedKey(key: EpochKey): string {
    return `${this.#options.prefix}:x:${partyKey(key)}`
  }

  /** An epoch is kept until nothing of it can be alive: then a replay of it is expired. */
  #keepMs(): string {
    return String((this.#hooks?.lifetimeMs ?? DEFAULT_LIFETIME_MS) + 2 * SKEW_MS)
  }
}

function isList(answer: unknown): answer is unknown[] {
  return Array.isArray(answer)
}

const digests = new Map<string, string>()

function digest(script: string): string {
  const known = digests.get(script)
  if (known !== undefined) return known
  const made = createHash('sha1').update(script).digest('hex') // n.b. Redis names scripts so; nothing rests on it
  digests.set(script, made)
  return made
}
