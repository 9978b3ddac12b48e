import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Phase, PhaseTracker } from '../../chaos/phases.js'
import { APPLICATION_DATA, RecordReader, type TlsRecord } from '../../chaos/records.js'

function tlsBytes(records: readonly { type: number; length: number }[]): Buffer {
  return Buffer.concat(
    records.map(({ type, length }) =>
      Buffer.concat([Buffer.from([type, 3, 3, length >> 8, length & 255]), Buffer.alloc(length, 0x17)]),
    ),
  )
}

describe('the reader of TLS records', () => {
  it('finds every record, however the stream is chopped', () => {
    const record = fc.record({ type: fc.constantFrom(20, 22, 23), length: fc.nat(700) })
    fc.assert(
      fc.property(
        fc.array(record),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }),
        (records, sizes) => {
          const bytes = tlsBytes(records)
          const reader = new RecordReader()
          const found: TlsRecord[] = []
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = sizes[i % sizes.length] ?? 1
            found.push(...reader.read(bytes.subarray(at, at + size)))
            at += size
          }
          let start = 0
          const expected = records.map(({ type, length }) => {
            const here = { type, length, start }
            start += 5 + length
            return here
          })
          expect(found).toEqual(expected)
        },
      ),
    )
  })
})

describe('the tracker of phases', () => {
  /** Phases of what a client sends, by plaintext sizes; `overhead` is what TLS adds. */
  const phases = (overhead: number, sizes: readonly number[]): Phase[] => {
    const tracker = new PhaseTracker()
    const record = (length: number): TlsRecord => ({ type: APPLICATION_DATA, start: 0, length })
    return sizes.map(size => tracker.record('up', record(size + overhead)))
  }
  const HANDSHAKE = [8, 350, 42] // protocol header, start-ok, tune-ok with open

  it.each([16, 17, 24])('knows the steps of a publishing connection, %s bytes of TLS a record', overhead => {
    expect(phases(overhead, [...HANDSHAKE, 13, 13, 400, 35])).toEqual([
      ...['amqp', 'amqp', 'amqp', 'channel-open', 'select', 'steady', 'steady'],
    ])
  })

  it('knows those of a consuming and of a declaring one', () => {
    expect(phases(17, [...HANDSHAKE, 13, 19, 35, 21, 8, 21])).toEqual([
      ...['amqp', 'amqp', 'amqp', 'channel-open', 'qos', 'consume', 'steady', 'steady', 'steady'],
    ])
    expect(phases(17, [...HANDSHAKE, 13, 120, 26, 13, 50, 26, 13, 13, 300])).toEqual([
      ...['amqp', 'amqp', 'amqp', 'channel-open', 'declare', 'close', 'channel-open', 'declare', 'close'],
      ...['channel-open', 'select', 'steady'],
    ])
  })

  it('gives what the broker sends to the phase of the request before it', () => {
    const tracker = new PhaseTracker()
    const up = (size: number): Phase =>
      tracker.record('up', { type: APPLICATION_DATA, start: 0, length: size + 17 })
    expect(tracker.record('down', { type: 22, start: 0, length: 100 })).toBe('tls')
    expect(tracker.record('up', { type: 22, start: 0, length: 25 })).toBe('tls') // not application data
    expect(up(36)).toBe('tls') // the client's Finished, TLS 1.3
    expect(up(8)).toBe('amqp')
    expect(tracker.record('down', { type: APPLICATION_DATA, start: 0, length: 500 })).toBe('amqp')
    expect(up(13)).toBe('channel-open')
    expect(tracker.record('down', { type: APPLICATION_DATA, start: 0, length: 33 })).toBe('channel-open')
    expect(up(8)).toBe('channel-open') // a heartbeat is no request
  })
})
