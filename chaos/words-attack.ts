/** The word for somebody with rights on the broker. */
import { ATTACKS, attack } from './attacker.js'
import { choice, duration, fields } from './fields.js'
import { participantOf } from './play.js'
import { role } from './read-parties.js'
import { fault, type Words } from './word.js'

const HOLD_MS = 20_000

export const attackWords: Words = {
  attack: fault(
    {
      summary: `somebody with all rights on the broker does this to the mail of a party, with the certificate of another: ${ATTACKS.join(', ')}; withhold holds one body for \`hold\``,
      example: '{by: quiet-4, on: centre, how: replay, for: 10 s}',
      needs: ['grantEverything'],
    },
    fields('a map with by, on, how, for, and perhaps hold', map => ({
      by: map.need('by', role),
      on: map.need('on', role),
      how: map.need('how', choice(...ATTACKS)),
      forMs: map.need('for', duration),
      holdMs: map.maybe('hold', duration) ?? HOLD_MS,
    })),
    async (play, { by, on, how, forMs, holdMs }) => {
      const { cast, driver, random, signal } = play.stage
      const attacker = participantOf(cast, by)
      await play.act('grantEverything')(attacker.address)
      const touched = await attack({
        ...{ how, forMs, holdMs, random, signal },
        identity: attacker.identity,
        brokers: driver.nodes.map(node => driver.url(node)),
        victim: play.addressOf(on),
        bystander: play.addressOf(on === 'steady-2' ? 'steady-1' : 'steady-2'),
      })
      if (touched === 0) throw new Error(`not injected: no body came by to ${how}`)
      play.stage.note(`${how}: ${touched} bodies on their way to ${play.addressOf(on)}`)
    },
  ),
}
