/** Words for what clients meet: names, certificates, bodies that the broker does not take. */
import { choice, fields, type Read, size } from './fields.js'
import type { Play } from './play.js'
import { role } from './read-parties.js'
import type { Names } from './resolver.js'
import { fault, type Words, word } from './word.js'

/** Processes of the load that there are in every run. */
const PROCESSES: readonly string[] = ['centre', 'hubs']

const answer: Read<Names> = choice('real', 'failing', 'moved')

function tell(play: Play, names: Names): void {
  for (const process of PROCESSES) play.stage.load.trick(process, { is: 'names', names })
  play.stage.note(`host names are ${names}`)
}

export const clientWords: Words = {
  'host-names': word(
    {
      summary:
        'look-ups of brokers: real, failing, or moved (to an address where nobody listens, before the real ones)',
      example: 'failing',
      breaks: true,
    },
    answer,
    (play, names) => {
      if (names !== 'real') play.stage.injected()
      tell(play, names)
    },
  ),
  'renew-identity': fault(
    {
      summary: "a party's folder gets a new certificate and key; its connections stay",
      example: 'steady-1',
      needs: ['renewIdentity'],
    },
    role,
    async (play, party) => {
      await play.act('renewIdentity')(play.addressOf(party))
      play.stage.note(`renewed ${play.addressOf(party)}`)
    },
  ),
  'limit-bodies': word(
    {
      summary: 'channels that are opened from now on refuse bodies larger than this; 0 B: as configured',
      example: '20 KB',
      needs: ['limitBodies'],
    },
    size,
    async (play, bytes) => await play.act('limitBodies')(bytes === 0 ? undefined : bytes),
  ),
  'send-large': fault(
    { summary: 'a party sends one message of this size', example: '{party: centre, size: 100 KB}' },
    fields('a map with party and size', map => ({
      party: map.need('party', role),
      bytes: map.need('size', size),
    })),
    ({ stage }, { party, bytes }) => stage.load.trick(party, { is: 'large', bytes }),
  ),
}
