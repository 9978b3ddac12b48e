/**
 * Any object with `send` and `consume` as a Transport, so that `secure()` can wrap a bus that is not ours.
 *
 * | the foreign bus | means here |
 * | --- | --- |
 * | `send` resolves | confirmed: as far as that bus knows |
 * | `send` rejects | outcome unknown: the same bytes are sent again, later and later, until they expire |
 * | its handler's promise resolves | acknowledged |
 * | its handler's promise rejects | delivered again |
 * | `close`, where it has one | called when the wrapping bus has closed |
 *
 * n.b. a foreign bus has no parking: `park` keeps those bodies, in the state folder.
 */

import type { BareBus } from '../bus.js'
import { asError, SealbusError } from '../errors.js'
import type {
  Confirmation,
  Publication,
  PublishChannel,
  Transport,
  TransportDelivery,
  TransportStatus,
} from './transport.js'

/** The type under which sealed bodies travel on a foreign bus. */
export const SEALED_TYPE = 'sealed.v1'

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000

export interface BareOptions {
  readonly address: string
  /** Keeps one parked body; resolves when it is safe. */
  readonly park: (publication: Publication) => Promise<void>
}

/** Thrown into the foreign bus to ask for redelivery; it holds nothing of the message. */
class GivenBack extends Error {
  override readonly name = 'GivenBack'
}

/** Wraps `bus`; one channel lives until a `send` fails, the next one waits a little longer each time. */
export function bareTransport(bus: BareBus, options: BareOptions): Transport {
  return new BareTransport(bus, options)
}

class BareTransport implements Transport {
  readonly address: string
  readonly #bus: BareBus
  readonly #park: BareOptions['park']
  readonly #closing = new AbortController()
  readonly #listeners = new Set<(status: TransportStatus) => void>()
  #failures = 0
  #channels = 0
  #tokens = 0
  #shared: BareChannel | undefined
  #onDelivery: ((delivery: TransportDelivery) => void) | undefined
  #subscribed = false

  constructor(bus: BareBus, options: BareOptions) {
    this.#bus = bus
    this.address = options.address
    this.#park = options.park
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  async channel(_kind: 'shared' | 'fresh' | 'isolated', signal?: AbortSignal): Promise<PublishChannel> {
    if (!this.#living()) await pause(this.#pauseMs(), this.#closing.signal, signal)
    return this.#living() ?? this.#openChannel()
  }

  writable(): undefined {
    return undefined
  }

  async consume(onDelivery: (delivery: TransportDelivery) => void): ReturnType<Transport['consume']> {
    this.#onDelivery = onDelivery
    if (!this.#subscribed) await this.#bus.consume(async message => this.#deliver(message.payload))
    this.#subscribed = true
    return {
      stop: () => {
        this.#onDelivery = undefined
        return Promise.resolve()
      },
      addCredit: () => false,
    }
  }

  consumers(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  status(): TransportStatus {
    return { state: this.#closing.signal.aborted ? 'closed' : 'ready' }
  }

  onStatus(listener: (status: TransportStatus) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  onEvent(): () => void {
    return () => undefined // n.b. a foreign bus tells nothing of its connections
  }

  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort(new SealbusError('closed', 'the bus is closed'))
      this.#shared?.die(new SealbusError('connection-lost', 'the bus was closed while this was under way'))
      for (const listener of this.#listeners) listener(this.status())
      await this.#bus.close?.()
    }
  }

  #living(): BareChannel | undefined {
    return this.#shared?.open === true ? this.#shared : undefined
  }

  #pauseMs(): number {
    return this.#failures === 0 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 1))
  }

  #openChannel(): BareChannel {
    this.#channels += 1
    const channel = new BareChannel(this.#channels, publication => this.#publish(publication))
    void channel.closed.then(() => {
      this.#failures += 1
    })
    this.#shared = channel
    return channel
  }

  async #publish(publication: Publication): Promise<void> {
    if (publication.exchange === 'parked') return this.#park(publication)
    await this.#bus.send(publication.to, { type: SEALED_TYPE, payload: publication.body })
    this.#failures = 0
  }

  #deliver(body: Uint8Array): Promise<void> {
    const onDelivery = this.#onDelivery
    if (!onDelivery) return Promise.reject(new GivenBack('not consuming: deliver it again later'))
    this.#tokens += 1
    const token = `bare-${this.#tokens}`
    return new Promise((resolve, reject) => {
      let settled = false
      const once = (settle: () => void): boolean => {
        const first = !settled
        settled = true
        settle() // n.b. settling a promise twice does nothing
        return first
      }
      onDelivery({
        body,
        redelivered: false,
        claimedFrom: undefined,
        token,
        ack: () => once(resolve),
        requeue: () => once(() => reject(new GivenBack('not handled: deliver it again'))),
      })
    })
  }
}

class BareChannel implements PublishChannel {
  readonly id: number
  readonly closed: Promise<Error | undefined>
  readonly #send: (publication: Publication) => Promise<void>
  readonly #pending = new Set<(error: Error) => void>()
  #dead: SealbusError | undefined
  #resolveClosed: (error: Error | undefined) => void = () => undefined

  constructor(id: number, send: (publication: Publication) => Promise<void>) {
    this.id = id
    this.#send = send
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve
    })
  }

  get open(): boolean {
    return this.#dead === undefined
  }

  publish(publication: Publication): Promise<Confirmation> {
    if (this.#dead) return Promise.reject(this.#dead)
    return new Promise((resolve, reject) => {
      this.#pending.add(reject)
      this.#send(publication).then(
        () => {
          this.#pending.delete(reject)
          resolve('confirmed')
        },
        (cause: unknown) => {
          const message = 'the wrapped bus failed to send; the same bytes are sent again'
          this.die(new SealbusError('connection-lost', message, { cause: asError(cause) }))
        },
      )
    })
  }

  /** Ends the channel once: whatever is under way has an unknown outcome. */
  die(error: SealbusError): void {
    if (this.#dead) return
    this.#dead = error
    for (const reject of this.#pending) reject(error)
    this.#pending.clear()
    this.#resolveClosed(error)
  }

  release(): void {
    // n.b. nothing to give back: the wrapped bus owns its channels
  }
}

function pause(ms: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
  const signal = AbortSignal.any(signals.filter(one => one !== undefined))
  if (signal.aborted) return Promise.reject(asError(signal.reason))
  if (ms === 0) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms)
    const abort = (): void => {
      clearTimeout(timer)
      reject(asError(signal.reason))
    }
    signal.addEventListener('abort', abort, { once: true })
    function done(): void {
      signal.removeEventListener('abort', abort)
      resolve()
    }
  })
}
