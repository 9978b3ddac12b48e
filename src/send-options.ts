/** The options of a send, as they come from outside. */
import type { SendOptions } from './bus.js'

const CHOICES: Readonly<Record<'priority' | 'until', readonly string[]>> = {
  priority: ['command', 'report', 'backfill'],
  until: ['stored', 'confirmed', 'handled'],
}

/** n.b. from JavaScript anything may come: an unknown word would make a lane that nobody pumps. @throws RangeError */
export function checkSendOptions(options: SendOptions): void {
  for (const name of ['priority', 'until'] as const) {
    const given: string | undefined = options[name]
    if (given === undefined || CHOICES[name].includes(given)) continue
    throw new RangeError(`${name}: expected ${CHOICES[name].join(', ')}, got ${JSON.stringify(given)}`)
  }
}
