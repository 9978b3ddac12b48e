/**
 * TLS records seen from outside (RFC 8446 §5.1, RFC 5246 §6.2.1): type and length stand in clear before each record,
 * so a stream can be cut at a step of the protocol inside without a key.
 */

/** Content type of records that carry application data, and in TLS 1.3 most of the handshake. */
export const APPLICATION_DATA = 23
const HEADER_BYTES = 5

/** One record, known as soon as its header is. */
export interface TlsRecord {
  readonly type: number
  /** Where its header begins in the stream, bytes. */
  readonly start: number
  /** Bytes after the header. */
  readonly length: number
}

/** Finds the records of one direction, however the stream is chopped. */
export class RecordReader {
  #header: number[] = []
  #skip = 0
  #offset = 0

  /** The records whose headers end in this chunk. */
  read(chunk: Uint8Array): TlsRecord[] {
    const found: TlsRecord[] = []
    let i = 0
    while (i < chunk.length) {
      const skipped = Math.min(this.#skip, chunk.length - i)
      this.#skip -= skipped
      i += skipped
      if (i === chunk.length) break
      this.#header.push(chunk[i++] ?? 0)
      if (this.#header.length < HEADER_BYTES) continue
      const [type = 0, , , high = 0, low = 0] = this.#header
      const length = high * 256 + low
      found.push({ type, start: this.#offset + i - HEADER_BYTES, length })
      this.#header = []
      this.#skip = length
    }
    this.#offset += chunk.length
    return found
  }
}
