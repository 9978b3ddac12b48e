/**
 * Two suspicions that no event tells of: a link that carries nothing any more (no reset, no FIN), and an inbox that
 * delivers nothing though it should (watched by the consumer). Each asks the broker before it acts.
 */
import { SealbusError } from '../errors.js'
import type { Link } from './link.js'

/** Between two looks. */
const TICK_MS = 1_000
/** A look that comes later than this was held up by our own event loop: it proves nothing. */
const LATE_MS = 2_000
/** A publish unconfirmed for so long makes us ask. */
const SUSPECT_MS = 3_000
/** Since the question. */
const ANSWER_MS = 3_000
/** A link that gave not a byte for so long, question included, is dead. */
const SILENT_MS = 6_000

/** An inbox that delivers nothing for so long is looked at. */
export const STARVING_MS = 30_000

/**
 * Why an inbox that delivers nothing should be consumed anew; undefined where silence is in order.
 *
 * @param found - what the broker sees of it
 * @param singleActive - another consumer may be the active one: what waits is then its business
 * @param freeCredit - bodies that the broker may still deliver to us
 */
export function starvation(
  found: { readonly consumerCount: number; readonly messageCount: number },
  singleActive: boolean,
  freeCredit: number,
): string | undefined {
  if (found.consumerCount === 0) return 'the inbox has no consumer'
  if (singleActive || freeCredit <= 0 || found.messageCount === 0) return undefined
  return `${found.messageCount} bodies wait, though we may take ${freeCredit} more`
}

/** Calls back every second until stopped, and says whether it was on time. Does not keep the process alive. */
export function everySecond(look: (now: number, onTime: boolean) => void): () => void {
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    const onTime = now - last < LATE_MS
    last = now
    look(now, onTime)
  }, TICK_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/** Watches the publishing links by the age of what is unconfirmed. */
export class ConfirmWatchdog {
  #link: Link | undefined
  #bytesRead = 0
  #heardAt = 0
  #askedAt: number | undefined

  /** @param oldest - when the oldest unconfirmed publish was written (`performance.now()`), if there is any */
  look(link: Link | undefined, oldest: number | undefined, now: number, onTime: boolean): void {
    this.#listen(link, now, onTime)
    if (
      link === undefined ||
      link.blocked !== undefined ||
      oldest === undefined ||
      now - oldest < SUSPECT_MS
    ) {
      this.#askedAt = undefined
    } else if (this.#askedAt === undefined) {
      if (now - this.#heardAt >= SILENT_MS - ANSWER_MS) this.#ask(link, now)
    } else if (now - this.#askedAt >= ANSWER_MS && now - this.#heardAt >= SILENT_MS) this.#giveUp(link, now)
  }

  /** Bytes answer every question asked so far. n.b. after a pause of our own they may wait unread: hearing starts anew. */
  #listen(link: Link | undefined, now: number, onTime: boolean): void {
    const bytesRead = link?.bytesRead ?? 0
    if (onTime && link === this.#link && bytesRead === this.#bytesRead) return
    this.#askedAt = undefined
    this.#link = link
    this.#bytesRead = bytesRead
    this.#heardAt = now
  }

  /** Any answer will do: it is heard as bytes. */
  #ask(link: Link, now: number): void {
    this.#askedAt = now
    link.plainChannel().then(
      channel => channel.close(),
      () => undefined, // n.b. the link is dead then, and everybody knows
    )
  }

  #giveUp(link: Link, now: number): void {
    const silentMs = Math.round(now - this.#heardAt)
    link.destroy(
      new SealbusError('timeout', `${link.where} gave nothing for ${silentMs} ms, not even when asked`),
    )
  }
}
