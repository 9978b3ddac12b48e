/**
 * The seam to a broker: bodies in, bodies out, addressed by word. Contract only; rabbitmq.ts and memory.ts obey it.
 * A transport never sees a plaintext or a private key of an identity's sealing, and knows nothing of lanes.
 */

/** One body to be published, the same bytes on every attempt. */
export interface Publication {
  /** `inbox`: the exchange `sealbus`, routing key `to.from`. `parked`: `sealbus.parked`, the same key. */
  readonly exchange: 'inbox' | 'parked'
  readonly to: string
  readonly from: string
  /** Returns are matched by it. 32 hex digits for an envelope. */
  readonly messageId: string
  readonly body: Uint8Array
  /** The one header: which message of the batch failed. Parked bodies only. */
  readonly index?: number
}

/**
 * What the broker said to one attempt.
 *
 * | outcome | means | the lane |
 * | --- | --- | --- |
 * | `confirmed` | a majority has it | goes on |
 * | `nacked` | full, or a queue without leader | stops; the head alone goes out on a fresh channel |
 * | `returned` | no inbox bound | backs off |
 */
export type Confirmation = 'confirmed' | 'nacked' | 'returned'

/** A confirm channel: it opens once and dies once. */
export interface PublishChannel {
  /** Unique in this process, rising. */
  readonly id: number
  readonly open: boolean
  /**
   * Publishes mandatory and persistent; settles with the broker's word.
   * Rejects with SealbusError `connection-lost` (channel or connection died: outcome unknown; `cause` says why),
   * `broker-refused` (the channel died of what was published on it: poison) or `unauthorised` (403, 404: a state).
   */
  publish(publication: Publication): Promise<Confirmation>
  /** Resolves when the channel is dead, whatever the cause. */
  readonly closed: Promise<Error | undefined>
  /** Gives the channel back; closes it when nothing else uses it. */
  release(): void
}

/** An operator's word about a body that was parked: what of it was parked may be handled, once. */
export interface Grant {
  /** Names the replay in events. */
  readonly id: string
  /** Of one message of the envelope only. */
  readonly index?: number
}

/** One body that arrived. */
export interface TransportDelivery {
  readonly body: Uint8Array
  /** The broker's claim; a hint, never believed. */
  readonly redelivered: boolean
  /** The second word of the routing key, if it has the form: a hint, never believed. */
  readonly claimedFrom: string | undefined
  /** Unique to (channel generation, delivery tag). */
  readonly token: string
  /** Absent: it came from the broker, which grants nothing. */
  readonly grant?: Grant
  /** Acknowledges; false where its channel is gone (the broker will deliver it again). Idempotent. */
  ack(): boolean
  /** Gives it back to the broker's queue; false as above. For shutdown only. */
  requeue(): boolean
}

export interface TransportConsumer {
  /** Stops delivery by closing the channel: unacknowledged bodies go back in order. */
  stop(): Promise<void>
  /** Raises how many bodies may be unacknowledged, where the inbox allows it; false where it does not. */
  addCredit(count: number): boolean
}

export interface TransportStatus {
  readonly state: 'connecting' | 'ready' | 'blocked' | 'unauthorised' | 'closed'
  readonly reason?: Error
}

/** Something that an operator wants to know, with a stable name. */
export interface TransportEvent {
  /** `connected`, `disconnected`, `consumer-lost`, `stale-ack`, … listed in docs/DELIVERY.md. */
  readonly name: string
  readonly detail?: Readonly<Record<string, string | number | boolean>>
}

/**
 * Which channel a publication wants.
 *
 * | kind | means |
 * | --- | --- |
 * | `shared` | the main channel of the living publishing connection |
 * | `fresh` | one opened after this call; callers of the same moment share it; at most 16 live |
 * | `isolated` | one of its own, for a suspect |
 */
export type ChannelKind = 'shared' | 'fresh' | 'isolated'

export interface Transport {
  /** One's own inbox. */
  readonly address: string
  /** Declares what is ours to declare and connects; resolves at the first usable connection. */
  start(signal?: AbortSignal): Promise<void>
  /** Pends while connecting or blocked. @throws SealbusError `closed`; whatever aborted the signal */
  channel(kind: ChannelKind, signal?: AbortSignal): Promise<PublishChannel>
  /** Undefined when bytes may be written now; else resolves when they may (drain or close). */
  writable(): Promise<void> | undefined
  /**
   * Delivers the inbox one body at a time, in the broker's order; builds the consumer anew after every loss, for ever.
   * `onLost` is called when unacknowledged deliveries have become stale. Resolves when the first attempt has succeeded
   * or failed, at the latest when `signal` fires: the handle is there to be stopped.
   */
  consume(
    onDelivery: (delivery: TransportDelivery) => void,
    options: { prefetch: number; onLost?: () => void; signal?: AbortSignal },
  ): Promise<TransportConsumer>
  /** How many consumers the broker sees on the own inbox, or undefined where it will not say. */
  consumers(): Promise<number | undefined>
  status(): TransportStatus
  onStatus(listener: (status: TransportStatus) => void): () => void
  onEvent(listener: (event: TransportEvent) => void): () => void
  /** Closes at once; every step has a deadline. May be called twice. */
  close(): Promise<void>
}
