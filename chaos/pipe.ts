/** One direction of a proxied connection: forwards in order, counts, and stops after an exact byte. */
import type { Socket } from 'node:net'

/** Time for the other side to read the last bytes: libuv shows data and a reset that come at once as data and an orderly end. */
const RESET_AFTER_MS = 5

/** How fast bytes go through; absent: at once and whole. */
export interface Pace {
  /** Delay of everything, ms. */
  readonly latencyMs?: number
  /** Largest piece that is written at once, bytes. */
  readonly sliceBytes?: number
  readonly bytesPerSecond?: number
}

/** Moves bytes from one socket to another. */
export class Pipe {
  /** Bytes handed to the receiving socket's kernel buffer, or about to be. */
  forwarded = 0
  /** Sees each chunk before it goes; may return the absolute byte count at which to cut. */
  tap: ((chunk: Buffer, offset: number) => number | undefined) | undefined
  /** Nothing goes through any more. */
  holding = false
  readonly #to: Socket
  readonly #pace: () => Pace
  readonly #onCut: () => void
  #limit = Number.POSITIVE_INFINITY
  #read = 0
  #cutting = false
  #work: Promise<void> = Promise.resolve()

  /**
   * @param from - read from here
   * @param to - written to there
   * @param pace - asked for each chunk
   * @param onCut - called once, after the byte at the limit has gone out
   */
  constructor(from: Socket, to: Socket, pace: () => Pace, onCut: () => void) {
    this.#to = to
    this.#pace = pace
    this.#onCut = onCut
    from.on('data', chunk => {
      this.#take(from, chunk)
    })
    from.on('end', () => {
      this.#work = this.#work.then(() => {
        if (!this.holding && !to.destroyed) to.end()
      })
    })
  }

  /** Cuts once this many more bytes than are forwarded now have gone out. */
  cutAfter(bytes: number): void {
    this.#cutAt(this.forwarded + bytes)
    if (this.forwarded >= this.#limit) this.#cut()
  }

  /** Swallows everything from now on. */
  hold(): void {
    this.holding = true
  }

  #take(from: Socket, chunk: Buffer): void {
    const at = this.tap?.(chunk, this.#read)
    this.#read += chunk.length
    if (at !== undefined) this.#cutAt(at)
    from.pause()
    const { latencyMs = 0 } = this.#pace()
    const due = performance.now() + latencyMs
    this.#work = this.#work.then(() => this.#forward(chunk, due))
    // n.b. under latency reading goes on, or every round trip would be paid once a chunk
    if (latencyMs > 0) from.resume()
    else void this.#work.then(() => from.resume())
  }

  async #forward(chunk: Buffer, due: number): Promise<void> {
    await pause(due - performance.now())
    const { sliceBytes = chunk.length, bytesPerSecond } = this.#pace()
    for (let i = 0; i < chunk.length; i += sliceBytes) {
      const room = Math.max(0, this.#limit - this.forwarded)
      const slice = chunk.subarray(i, Math.min(i + sliceBytes, i + room, chunk.length))
      if (this.holding || this.#to.destroyed) return
      this.forwarded += slice.length
      if (slice.length > 0) await written(this.#to, slice)
      if (this.forwarded >= this.#limit) {
        this.#cut()
        return
      }
      if (bytesPerSecond !== undefined) await pause((slice.length / bytesPerSecond) * 1000)
    }
  }

  /** n.b. bytes that are out stay out: a limit behind them cuts at once, when the next byte comes. */
  #cutAt(limit: number): void {
    this.#limit = Math.min(this.#limit, Math.max(limit, this.forwarded))
  }

  #cut(): void {
    if (this.#cutting) return
    this.#cutting = true
    this.holding = true
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
