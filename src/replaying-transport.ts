/**
 * A transport whose consumer also gets what an operator replays from parking (replay-folder.ts), beside what the broker
 * delivers. Everything else is the inner transport's.
 */
import type { ReplayFolder } from './replay-folder.js'
import type { Transport } from './transport/transport.js'

export function replayingTransport(inner: Transport, replays: ReplayFolder): Transport {
  return {
    address: inner.address,
    start: signal => inner.start(signal),
    channel: (kind, signal) => inner.channel(kind, signal),
    writable: () => inner.writable(),
    consumers: () => inner.consumers(),
    status: () => inner.status(),
    onStatus: listener => inner.onStatus(listener),
    onEvent: listener => inner.onEvent(listener),
    close: async () => {
      await replays.stop()
      await inner.close()
    },
    consume: async (onDelivery, options) => {
      replays.start(onDelivery)
      const onLost = (): void => {
        replays.lost()
        options.onLost?.()
      }
      const consumer = await inner.consume(onDelivery, { ...options, onLost })
      return {
        addCredit: count => consumer.addCredit(count),
        stop: async () => {
          await replays.stop()
          await consumer.stop()
        },
      }
    },
  }
}
