/**
 * Which step of an AMQP 0-9-1 connection a TLS record belongs to, from sizes alone.
 *
 * Setting up is strictly request and response, so every client record is a request and all server records until the
 * next one are its response. A record's plaintext is its length less a constant that the protocol header gives away: it is
 * the first application record of 8 bytes. Frame sizes are those of the AMQP 0-9-1 specification (§4.2.3: 8 bytes around the
 * payload, 4 of it class and method):
 *
 * | client sends | bytes | phase |
 * | --- | --- | --- |
 * | anything before the protocol header | | `tls` |
 * | header, start-ok, tune-ok, open | | `amqp` |
 * | channel.open | 13 | `channel-open` |
 * | confirm.select: 13 right after a channel.open | 13 | `select`; whatever follows is `steady`: the channel publishes |
 * | basic.qos | 19 | `qos` |
 * | channel.close with the text `Goodbye` | 26 | `close` |
 * | anything else, not after basic.qos | ≥ 22 | `declare` (queue or exchange, bind, passive) |
 * | anything else, after basic.qos | ≥ 22 | `consume`; whatever follows is `steady` |
 */
import type { Direction } from './proxy.js'
import { APPLICATION_DATA, type TlsRecord } from './records.js'

export type Phase =
  | 'tls'
  | 'amqp'
  | 'channel-open'
  | 'select'
  | 'qos'
  | 'close'
  | 'declare'
  | 'consume'
  | 'steady'

const PROTOCOL_HEADER_BYTES = 8
/** What TLS adds: 1.2 with ChaCha20-Poly1305, 1.3, 1.2 with GCM. */
const OVERHEADS: readonly number[] = [16, 17, 24]
const HEARTBEAT_BYTES = 8
const CHANNEL_OPEN_BYTES = 13
const QOS_BYTES = 19
const CLOSE_BYTES = 26
const LARGER_BYTES = 22

/** Follows one connection. */
export class PhaseTracker {
  #phase: Phase = 'tls'
  #overhead = 0
  /** The phase that this record, the next one of its direction, belongs to. */
  record(direction: Direction, record: TlsRecord): Phase {
    if (direction === 'up' && record.type === APPLICATION_DATA) this.#request(record.length)
    return this.#phase
  }

  #request(length: number): void {
    if (this.#phase === 'tls') {
      const overhead = length - PROTOCOL_HEADER_BYTES
      if (!OVERHEADS.includes(overhead)) return // TLS 1.3: the client's certificate and Finished look alike
      this.#overhead = overhead
      this.#phase = 'amqp'
      return
    }
    this.#phase = this.#next(length - this.#overhead)
  }

  #next(bytes: number): Phase {
    const before = this.#phase
    if (bytes === HEARTBEAT_BYTES) return before
    if (before === 'steady' || before === 'select' || before === 'consume') return 'steady'
    if (bytes === CHANNEL_OPEN_BYTES) return before === 'channel-open' ? 'select' : 'channel-open'
    if (before === 'amqp') return 'amqp'
    if (bytes === QOS_BYTES) return 'qos'
    if (bytes === CLOSE_BYTES) return 'close'
    if (bytes < LARGER_BYTES) return before
    return before === 'qos' ? 'consume' : 'declare'
  }
}
