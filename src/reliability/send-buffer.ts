/**
 * The memory bound: messages and bytes over all lanes, an eighth of it for one lane, so that one recipient's full
 * inbox does not keep others from sending. Whatever comes to an empty buffer or lane is taken, however large.
 * What finds no room waits outside, where there is as much room once more; then `send` rejects.
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

/** Something that takes room. */
export interface Charge {
  readonly size: number
  place: 'nowhere' | 'outside' | 'inside'
}

/** One lane may hold this part of the bound. */
const LANE_SHARE = 8

export class SendBuffer {
  readonly #bounds: BufferBounds
  readonly #inside: Held = { messages: 0, bytes: 0 }
  readonly #outside: Held = { messages: 0, bytes: 0 }

  /** @throws RangeError for bounds that are not positive */
  constructor(bounds: BufferBounds) {
    if (!(bounds.messages > 0 && bounds.bytes > 0)) {
      throw new RangeError(
        `send buffer: expected positive bounds, got ${bounds.messages} messages, ${bounds.bytes} bytes`,
      )
    }
    this.#bounds = bounds
  }

  get inside(): Readonly<Held> {
    return this.#inside
  }

  get outside(): Readonly<Held> {
    return this.#outside
  }

  /** Room for `size` more bytes over all lanes. */
  fits(size: number): boolean {
    return fits(this.#inside, size, this.#bounds.messages, this.#bounds.bytes)
  }

  /** Room for `size` more bytes in this lane. */
  fitsLane(lane: Held, size: number): boolean {
    return fits(lane, size, Math.ceil(this.#bounds.messages / LANE_SHARE), this.#bounds.bytes / LANE_SHARE)
  }

  /** Room for `size` more bytes outside. */
  fitsOutside(size: number): boolean {
    return fits(this.#outside, size, this.#bounds.messages, this.#bounds.bytes)
  }

  enter(lane: Held, charge: Charge): void {
    this.leave(lane, charge)
    charge.place = 'inside'
    add(this.#inside, 1, charge.size)
    add(lane, 1, charge.size)
  }

  waitOutside(charge: Charge): void {
    charge.place = 'outside'
    add(this.#outside, 1, charge.size)
  }

  /** Gives the room back; calling it again changes nothing. */
  leave(lane: Held, charge: Charge): void {
    if (charge.place === 'outside') add(this.#outside, -1, -charge.size)
    if (charge.place === 'inside') {
      add(this.#inside, -1, -charge.size)
      add(lane, -1, -charge.size)
    }
    charge.place = 'nowhere'
  }
}

function fits(held: Held, size: number, messages: number, bytes: number): boolean {
  return held.messages === 0 || (held.messages < messages && held.bytes + size <= bytes)
}

function add(held: Held, messages: number, bytes: number): void {
  held.messages += messages
  held.bytes += bytes
}
