/**
 * A bus for tests of what stands on one: in memory, at once, in order, unless told otherwise. It knows no cryptography and
 * no broker; only what a caller of {@link Bus} sees.
 */
import type { Bus, Delivery, Handler, Message, SendResult } from '../../src/bus.js'
import { SealbusError } from '../../src/errors.js'

/** What the post does to one message. */
export type Fate = 'deliver' | 'lose' | 'double' | 'reject' | 'pend'

/** Delivers between the buses that were made of it. */
export class StandInPost {
  /** Asked for each message. */
  fate: (from: string, to: string) => Fate = () => 'deliver'
  readonly #handlers = new Map<string, Handler>()
  #seq = 0

  /** A bus for one address. */
  bus(address: string): Bus {
    let closed = (): void => undefined
    const ended = new Promise<undefined>(resolve => {
      closed = () => resolve(undefined)
    })
    const none = { unsent: 0, unhandled: 0 }
    const close = (): Promise<typeof none> => {
      this.#handlers.delete(address)
      closed()
      return Promise.resolve(none)
    }
    return {
      send: (to, message) => this.#send(address, typeof to === 'string' ? to : to.address, message),
      consume: handler => {
        this.#handlers.set(address, handler as Handler)
        return Promise.resolve({ stop: () => Promise.resolve() })
      },
      request: () => Promise.reject(new SealbusError('request-refused', 'the stand-in answers no requests')),
      status: () => ({ state: 'ready' }),
      on: () => () => undefined,
      drain: close,
      close,
      closed: ended,
    }
  }

  async #send(from: string, to: string, message: Message): Promise<SendResult> {
    const fate = this.fate(from, to)
    if (fate === 'reject') throw new SealbusError('connection-lost', 'the stand-in was told to reject')
    if (fate === 'pend') await new Promise(() => undefined)
    const copies = { lose: 0, double: 2, deliver: 1, reject: 0, pend: 0 }[fate]
    for (let i = 0; i < copies; i++) await this.#handlers.get(to)?.(deliveryOf(from, message), undefined)
    return { state: 'confirmed', epoch: '00', seq: this.#seq++ }
  }
}

function deliveryOf(from: string, message: Message): Delivery {
  const text = JSON.stringify(message.payload)
  return {
    type: message.type,
    payload: Buffer.from(text),
    text: () => text,
    json: (): unknown => JSON.parse(text),
    from: { domain: 'test', address: from, role: 'test', fingerprint: '' },
    createdAt: new Date(),
    expiresAt: new Date(Date.now() + 60_000),
    signal: new AbortController().signal,
    reply: () => Promise.reject(new SealbusError('request-refused', 'the stand-in takes no replies')),
  }
}
