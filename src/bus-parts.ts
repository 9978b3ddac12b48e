/** What a bus is composed of, and what its composition may ask of it. docs/DELIVERY.md. Types only. */
import type { Bus, Logger, Party, Sender } from './bus.js'
import type { Clock } from './clock.js'
import type { Opener, PolicyCheck, Sealer } from './crypto/sealing.js'
import type { Events } from './events.js'
import type { Outbox } from './reliability/outbox.js'
import type { SeenStore } from './reliability/seen.js'
import type { Transport } from './transport/transport.js'

export interface BusParts {
  readonly transport: Transport
  readonly sealer: Sealer
  readonly opener: Opener
  /** Absent on a plain bus: everything is allowed. */
  readonly policy?: PolicyCheck
  /** False once a sender's certificate is revoked or over: what still waits of it is refused. Absent: always. */
  readonly stillTrusted?: (from: Sender) => boolean
  /** Made when the events that it may raise can be heard. */
  readonly outbox: (emit: Events['emit']) => Outbox
  /** Made when the events that it may raise can be heard. */
  readonly seen: (emit: Events['emit']) => SeenStore<unknown>
  readonly clock: Clock
  readonly events: Events
  readonly logger?: Logger
  /** The longest that a message may live here, ms. */
  readonly lifetimeMs?: number
  /** For the first usable connection, ms; `Infinity` waits for ever. Default 30 000. */
  readonly startTimeoutMs?: number
  /** Why consuming makes no sense now, for the status: our own certificate is revoked, the list is too old. */
  readonly hindrance?: () => Error | undefined
  /** A card came as a message; throws where it is not accepted. */
  readonly onCard: (bytes: Uint8Array, from: Sender) => void
  /** Ends what the composition started; called once, last. */
  readonly onClose?: () => Promise<void>
}

/** A running bus, and what its composition may ask of it. */
export interface CoreBus extends Bus {
  /** Tries again what waits for a certificate or a revocation list. */
  recheck(): void
  /** Sends a `sealbus/…` message, best effort. */
  sendSystem(to: Party, type: string, payload: Uint8Array, ttlSeconds: number): void
}
