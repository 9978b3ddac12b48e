/**
 * A broker in this process: for unit tests and a first look. It acknowledges, redelivers, returns, nacks and parks as
 * the real one does, and misbehaves on request. n.b. nothing survives the process; it has no replicas to lose.
 */
import { type MemoryBody, MemoryQueue } from './memory-queue.js'
import type { Confirmation, Publication } from './transport.js'

export interface MemoryBrokerOptions {
  /** Bodies in one inbox or parking, unacknowledged included, before it nacks. Default 10 000. */
  readonly maxMessages?: number
  /** Their bytes. Default 64 MiB. */
  readonly maxBytes?: number
}

/** What a transport's connection is told. */
export interface MemoryConnection {
  readonly address: string
  lost(reason: Error): void
}

const DEFAULTS = { maxMessages: 10_000, maxBytes: 64 * 1024 * 1024 } as const

export class MemoryBroker {
  #limits: Required<MemoryBrokerOptions>
  #inboxes = new Map<string, MemoryQueue>()
  #parked = new Map<string, MemoryQueue>()
  #connections = new Set<MemoryConnection>()
  #observers = new Set<(publication: Publication) => void>()
  #nacks: { left: number; to: string | undefined } = { left: 0, to: undefined }
  #held: (() => void)[] | undefined

  constructor(options: MemoryBrokerOptions = {}) {
    this.#limits = { ...DEFAULTS, ...options }
  }

  /** Makes inbox and parking of an address; keeps them where they are. */
  declare(address: string): void {
    if (!this.#inboxes.has(address)) this.#inboxes.set(address, new MemoryQueue(this.#limits))
    if (!this.#parked.has(address)) this.#parked.set(address, new MemoryQueue(this.#limits))
  }

  /** The inbox, if it was declared. */
  inbox(address: string): MemoryQueue | undefined {
    return this.#inboxes.get(address)
  }

  /** What is parked for an address, oldest first. */
  parked(address: string): readonly MemoryBody[] {
    return this.#parked.get(address)?.waiting ?? []
  }

  /** Takes one body; calls back with the word once it is given, never in the same tick. */
  publish(publication: Publication, confirm: (word: Confirmation) => void): void {
    const word = this.#accept(publication)
    const say = (): void => confirm(word)
    if (this.#held === undefined) setImmediate(say)
    else this.#held.push(say)
  }

  /** A transport connects; the function takes it off again. */
  connect(connection: MemoryConnection): () => void {
    this.#connections.add(connection)
    return () => void this.#connections.delete(connection)
  }

  // What tests and demonstrations ask for.

  /** Cuts the connections, of one address or of all, without a word. Returns how many. */
  killConnections(address?: string): number {
    const cut = [...this.#connections].filter(each => address === undefined || each.address === address)
    for (const connection of cut) {
      this.#connections.delete(connection)
      connection.lost(new Error('the memory broker cut the connection'))
    }
    return cut.length
  }

  /** Refuses the next publications, of one recipient or of all. */
  nackNext(count: number, to?: string): void {
    this.#nacks = { left: count, to }
  }

  /** Takes bodies but says nothing, until the returned function is called: then all at once, in order. */
  holdConfirms(): () => void {
    const held = this.#held ?? []
    this.#held = held
    return () => {
      if (this.#held === held) this.#held = undefined
      for (const say of held.splice(0)) say()
    }
  }

  /** Removes an inbox with all that is in it; its consumers are cancelled. */
  deleteInbox(address: string): void {
    this.#inboxes.get(address)?.cancelAll()
    this.#inboxes.delete(address)
  }

  /** Sees every body that is published, as a broker's operator could. */
  observe(observer: (publication: Publication) => void): () => void {
    this.#observers.add(observer)
    return () => void this.#observers.delete(observer)
  }

  #accept(publication: Publication): Confirmation {
    for (const observer of this.#observers) observer(publication)
    if (this.#nacked(publication.to)) return 'nacked'
    const queues = publication.exchange === 'inbox' ? this.#inboxes : this.#parked
    const queue = queues.get(publication.to)
    if (queue === undefined) return 'returned'
    return queue.put(publication) ? 'confirmed' : 'nacked'
  }

  #nacked(to: string): boolean {
    if (this.#nacks.left === 0 || (this.#nacks.to !== undefined && this.#nacks.to !== to)) return false
    this.#nacks.left -= 1
    return true
  }
}
