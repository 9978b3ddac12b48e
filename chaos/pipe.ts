/** One direction of a proxied connection: forwards in order, counts, paces, holds, and stops after an exact byte. */
import type { Socket } from 'node:net'

/** Time for the other side to read the last bytes: libuv shows data and a reset that come at once as data and an orderly end. */
const RESET_AFTER_MS = 5
/** Read ahead of what is forwarded, bytes: with latency a long fat link's worth, else a router's queue. Beyond it the sender's socket fills. */
const AHEAD_BYTES = { late: 2 ** 20, direct: 2 ** 16 } as const
/** What goes at once where a rate is set and no slice. */
const PACKET_BYTES = 1_460
/** Shorter than a timer's resolution is not waited for, but owed. */
const LEAST_PAUSE_MS = 1

/** How fast bytes go through; absent: at once and whole. */
export interface Pace {
  /** Delay of everything, one way, ms. */
  readonly latencyMs?: number
  /** Largest piece that is written at once, bytes. */
  readonly sliceBytes?: number
  /** Of this direction of this connection. */
  readonly bytesPerSecond?: number
}

/** Bytes that wait to go out, or the sender's orderly end. */
interface Waiting {
  bytes: Buffer
  readonly due: number
  readonly end: boolean
}

/** Moves bytes from one socket to another. */
export class Pipe {
  /** Bytes handed to the receiving socket's kernel buffer, or about to be. */
  forwarded = 0
  /** Sees each chunk before it goes; may return the absolute byte count at which to cut. */
  tap: ((chunk: Buffer, offset: number) => number | undefined) | undefined
  readonly #from: Socket
  readonly #to: Socket
  readonly #pace: () => Pace
  readonly #onCut: () => void
  readonly #waiting: Waiting[] = []
  #waitingBytes = 0
  #limit = Number.POSITIVE_INFINITY
  #read = 0
  #held = false
  #cutting = false
  #pumping = false
  #freeAt = 0

  /**
   * @param from - read from here
   * @param to - written to there
   * @param pace - asked for each piece
   * @param onCut - called once, after the byte at the limit has gone out
   */
  constructor(from: Socket, to: Socket, pace: () => Pace, onCut: () => void) {
    this.#from = from
    this.#to = to
    this.#pace = pace
    this.#onCut = onCut
    from.on('data', chunk => this.#take(chunk))
    from.on('end', () => this.#queue(Buffer.alloc(0), true))
  }

  /** Nothing goes through now. */
  get held(): boolean {
    return this.#held
  }

  /** Bytes that were read and have not gone out. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Cuts once this many more bytes than are forwarded now have gone out. */
  cutAfter(bytes: number): void {
    this.#cutAt(this.forwarded + bytes)
    if (this.forwarded >= this.#limit) this.#cut()
  }

  /**
   * Forwards nothing and reads nothing until {@link Pipe.release}: the sender's kernel takes bytes until its buffers are
   * full, as on a link that carries nothing. No byte is lost by it.
   */
  hold(): void {
    this.#held = true
    this.#from.pause()
  }

  /** Goes on where it was held. */
  release(): void {
    if (this.#cutting) return
    this.#held = false
    this.#readOn()
    void this.#pump()
  }

  #take(chunk: Buffer): void {
    const at = this.tap?.(chunk, this.#read)
    this.#read += chunk.length
    if (at !== undefined) this.#cutAt(at)
    this.#queue(chunk, false)
  }

  #queue(bytes: Buffer, end: boolean): void {
    const { latencyMs = 0 } = this.#pace()
    this.#waiting.push({ bytes, end, due: performance.now() + latencyMs })
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes >= this.#aheadBytes()) this.#from.pause()
    void this.#pump()
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    for (;;) {
      const head = this.#waiting[0]
      if (head === undefined || this.#stopped()) break
      await pause(head.due - performance.now())
      if (await this.#forward(head)) this.#waiting.shift()
    }
    this.#pumping = false
  }

  /** @returns whether all of it went, not only what stands before a hold or a cut */
  async #forward(head: Waiting): Promise<boolean> {
    while (head.bytes.length > 0) {
      await this.#turn()
      if (this.#stopped()) return false
      const slice = head.bytes.subarray(0, Math.min(this.#sliceBytes(), this.#limit - this.forwarded))
      head.bytes = head.bytes.subarray(slice.length)
      this.forwarded += slice.length
      if (slice.length > 0) await written(this.#to, slice)
      this.#account(slice.length)
      if (this.forwarded >= this.#limit) this.#cut()
    }
    if (!head.end) return true
    if (this.#stopped()) return false
    this.#to.end()
    return true
  }

  #sliceBytes(): number {
    const { sliceBytes, bytesPerSecond } = this.#pace()
    return sliceBytes ?? (bytesPerSecond === undefined ? Number.POSITIVE_INFINITY : PACKET_BYTES)
  }

  /** Waits until the link is free again. */
  async #turn(): Promise<void> {
    const aheadMs = this.#freeAt - performance.now()
    if (aheadMs >= LEAST_PAUSE_MS) await pause(aheadMs)
  }

  #account(bytes: number): void {
    this.#waitingBytes -= bytes
    const { bytesPerSecond } = this.#pace()
    const now = performance.now()
    this.#freeAt =
      bytesPerSecond === undefined ? now : Math.max(now, this.#freeAt) + (bytes / bytesPerSecond) * 1000
    this.#readOn()
  }

  #readOn(): void {
    if (!this.#held && this.#waitingBytes < this.#aheadBytes()) this.#from.resume()
  }

  #aheadBytes(): number {
    return (this.#pace().latencyMs ?? 0) > 0 ? AHEAD_BYTES.late : AHEAD_BYTES.direct
  }

  #stopped(): boolean {
    return this.#held || this.#cutting || this.#to.destroyed
  }

  /** n.b. bytes that are out stay out: a limit behind them cuts at once, when the next byte comes. */
  #cutAt(limit: number): void {
    this.#limit = Math.min(this.#limit, Math.max(limit, this.forwarded))
  }

  #cut(): void {
    if (this.#cutting) return
    this.#cutting = true
    // After a poll for events: a late timer would otherwise come before a reader of this process.
    setTimeout(() => setImmediate(this.#onCut), RESET_AFTER_MS)
  }
}

function pause(ms: number): Promise<void> {
  return ms > 0 ? new Promise(resolve => setTimeout(resolve, ms)) : Promise.resolve()
}

/** Resolves when the kernel has the bytes, or the socket is gone. */
function written(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise(resolve => {
    socket.write(bytes, () => resolve())
  })
}
