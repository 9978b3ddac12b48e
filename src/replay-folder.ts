/**
 * `replay/` in the state folder: bodies that an operator took out of parking, to be handled once. A file is the grant and
 * the body in one, so that nothing can come between them; it is there until its message is final. Whoever may write into
 * the state folder may grant, and nobody else: the broker cannot.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from './bytes.js'
import { asError, SealbusError } from './errors.js'
import type { Emit } from './events.js'
import type { Grant, TransportDelivery } from './transport/transport.js'

const FOLDER = 'replay'
/** `ID.sealed`, or `ID-INDEX.sealed` for one message of the envelope. */
const NAME = /^([0-9a-f]{16}(?:-(\d{1,4}))?)\.sealed$/
const POLL_MS = 1_000
/** Bodies under way at once. */
const MAX_UNDER_WAY = 16

/** Puts a body there; resolves when it would survive. @throws SealbusError `store-failed` */
export async function putReplay(state: string, { id }: Grant, body: Uint8Array): Promise<void> {
  const folder = join(state, FOLDER)
  const draft = join(folder, `.${toHex(randomBytes(8))}`)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeFile(draft, body, { mode: 0o600, flush: true })
    await rename(draft, join(folder, `${id}.sealed`))
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined)
    const message = `${folder}: ${asError(error).message}; nothing was taken out of parking`
    throw new SealbusError('store-failed', message, { cause: error })
  }
}

/** Ids of the bodies that wait there, or are under way. */
export async function waitingReplays(state: string): Promise<string[]> {
  const names = await readdir(join(state, FOLDER)).catch(() => [])
  return names.flatMap(name => NAME.exec(name)?.[1] ?? [])
}

/** Hands the folder's bodies to a receiver, each until it is acknowledged. */
export class ReplayFolder {
  readonly #folder: string
  readonly #emit: Emit
  readonly #underWay: Set<string> = new Set()
  #onDelivery: ((delivery: TransportDelivery) => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()

  constructor(state: string, emit: Emit) {
    this.#folder = join(state, FOLDER)
    this.#emit = emit
  }

  /** Looks at once, and every second from then on. */
  start(onDelivery: (delivery: TransportDelivery) => void): void {
    this.#onDelivery = onDelivery
    this.look()
    this.#timer = setInterval(() => this.look(), POLL_MS).unref()
  }

  /** Looks now. */
  look(): void {
    this.#looking = this.#looking
      .then(() => this.#look())
      .catch((error: unknown) => {
        this.#emit('replay-failed', { reason: asError(error).message, alarm: true })
      })
  }

  /** The receiver has dropped what was unacknowledged: it gets it again. */
  lost(): void {
    this.#underWay.clear()
  }

  /** Resolves when nothing more is handed out. What is not acknowledged stays for the next process. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#onDelivery = undefined
    await this.#looking
  }

  async #look(): Promise<void> {
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const [, id] = NAME.exec(name) ?? []
      if (id === undefined || this.#underWay.has(name)) continue
      if (this.#underWay.size >= MAX_UNDER_WAY || !this.#onDelivery) return
      this.#underWay.add(name)
      await this.#handOut(name, id)
    }
  }

  async #handOut(name: string, id: string): Promise<void> {
    const body = new Uint8Array(await readFile(join(this.#folder, name)))
    const [, index] = id.split('-')
    this.#onDelivery?.({
      body,
      redelivered: true,
      claimedFrom: undefined,
      token: `replay-${id}`,
      grant: index === undefined ? { id } : { id, index: Number(index) },
      ack: () => this.#done(name),
      requeue: () => this.#underWay.delete(name),
    })
  }

  /** n.b. where it cannot be removed it comes again with the next process, and is a duplicate then. */
  #done(name: string): boolean {
    rm(join(this.#folder, name), { force: true })
      .then(() => this.#underWay.delete(name))
      .catch((error: unknown) => {
        this.#emit('replay-failed', { reason: asError(error).message, alarm: true })
      })
    return true
  }
}
