/**
 * The memory bound: messages and bytes over all lanes, an eighth of it for one lane, so that one recipient's full
 * inbox does not keep others from sending. Whatever comes to an empty buffer or lane is taken, however large.
 */

/** What one lane holds, or all of them. */
export interface Held {
  messages: number
  bytes: number
}

export interface BufferBounds {
  readonly messages: number
  readonly bytes: number
}

/** One lane may hold this part of the bound. */
const LANE_SHARE = 8

export class SendBuffer {
  readonly #bounds: BufferBounds
  readonly #held: Held = { messages: 0, bytes: 0 }

  constructor(bounds: BufferBounds) {
    this.#bounds = bounds
  }

  get held(): Readonly<Held> {
    return this.#held
  }

  /** Room for `size` more bytes over all lanes. */
  fits(size: number): boolean {
    return fits(this.#held, size, this.#bounds.messages, this.#bounds.bytes)
  }

  /** Room for `size` more bytes in this lane. */
  fitsLane(lane: Held, size: number): boolean {
    return fits(lane, size, Math.ceil(this.#bounds.messages / LANE_SHARE), this.#bounds.bytes / LANE_SHARE)
  }

  charge(lane: Held, size: number): void {
    add(this.#held, 1, size)
    add(lane, 1, size)
  }

  release(lane: Held, size: number): void {
    add(this.#held, -1, -size)
    add(lane, -1, -size)
  }
}

function fits(held: Held, size: number, messages: number, bytes: number): boolean {
  return held.messages === 0 || (held.messages < messages && held.bytes + size <= bytes)
}

function add(held: Held, messages: number, bytes: number): void {
  held.messages += messages
  held.bytes += bytes
}
