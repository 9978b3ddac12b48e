/**
 * The plain bus: the same delivery, order and deduplication over any transport, nothing sealed, nothing authenticated. It
 * is there to move connectors from, and for first steps. n.b. anybody who reaches the broker reads and forges.
 */
import type { Bus, Logger, Party } from './bus.js'
import { startBus } from './bus-core.js'
import { createClock } from './clock.js'
import { Events } from './events.js'
import { createPlainOpener, createPlainSealer } from './plain-framing.js'
import { createMemoryOutbox } from './reliability/memory-outbox.js'
import { createMemorySeen } from './reliability/memory-seen.js'
import type { Transport } from './transport/transport.js'

export interface PlainOptions {
  /** `memoryTransport` or `rabbitTransport`; its address is one's own. */
  readonly transport: Transport
  /** Default `plain`. */
  readonly domain?: string
  readonly logger?: Logger
  /** Gives up connecting. */
  readonly signal?: AbortSignal
}

/** Starts a plain bus; what was handled is remembered in memory only. */
export async function plainBus(options: PlainOptions): Promise<Bus> {
  const { transport, domain = 'plain', logger, signal } = options
  const self: Party = { domain, address: transport.address }
  return startBus(
    {
      transport,
      sealer: createPlainSealer(self),
      opener: createPlainOpener(),
      outbox: () => createMemoryOutbox(),
      seen: emit => createMemorySeen(() => emit('replay-possible', { alarm: true })),
      clock: createClock(),
      events: new Events(logger),
      onCard: () => {
        throw new TypeError('a plain bus has no cards')
      },
    },
    signal,
  )
}
