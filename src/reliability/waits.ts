/** The waits of a receiver that must not last: for its consumer while it may be stopped, and for what is under way when it stops. */
import type { TransportConsumer } from '../transport/transport.js'

const POLL_MS = 5

/** n.b. in an outage consuming begins only when a connection does; a consumer that comes after the end is stopped. */
export async function unlessEnded(
  consuming: Promise<TransportConsumer>,
  end: AbortSignal,
): Promise<TransportConsumer | undefined> {
  const ended = new Promise<undefined>(resolve => {
    end.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  const consumer = await Promise.race([consuming, ended])
  if (consumer === undefined) {
    consuming.then(
      late => void late.stop(),
      () => undefined,
    )
  }
  return consumer
}

/** Resolves when `isDone` says so, or when the time is over. */
export function doneWithin(isDone: () => boolean, timeoutMs: number): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      clearInterval(poll)
      clearTimeout(deadline)
      resolve()
    }
    const poll = setInterval(() => isDone() && done(), POLL_MS)
    const deadline = setTimeout(done, timeoutMs)
    if (isDone()) done()
  })
}
