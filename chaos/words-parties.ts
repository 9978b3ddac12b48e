/** Words that do something to processes of the load: publishers and consumers die, freeze, hang, lose their clock. */
import { duration, fields } from './fields.js'
import { role } from './read-parties.js'
import { fault, type Words, word } from './word.js'

const MARKED_MS = 1_000 // fsyncs in groups: by then the mark is on disk
const HANDLED_LIMIT_MS = 10_000

export const partyWords: Words = {
  'kill-party': fault(
    { summary: "SIGKILL to a party's process", example: 'steady-1' },
    role,
    async ({ stage }, party) => await stage.load.kill(party),
  ),
  'shut-down-party': fault(
    { summary: "drains and ends a party's process", example: 'steady-1' },
    role,
    async ({ stage }, party) => await stage.load.shutDown(party),
  ),
  'start-party': word(
    { summary: 'starts a process that has ended, with the same identity and state', example: 'steady-1' },
    role,
    async ({ stage }, party) => await stage.load.revive(party),
  ),
  'freeze-party': fault(
    { summary: "SIGSTOP to a party's process", example: 'steady-1' },
    role,
    ({ stage }, party) => stage.load.freeze(party),
  ),
  'thaw-party': word({ summary: 'SIGCONT', example: 'steady-1' }, role, ({ stage }, party) =>
    stage.load.thaw(party),
  ),
  'block-party': fault(
    { summary: "a party's event loop stands still", example: '{party: steady-1, for: 12 s}' },
    fields('a map with party and for', map => ({
      party: map.need('party', role),
      forMs: map.need('for', duration),
    })),
    ({ stage }, { party, forMs }) => stage.load.trick(party, { is: 'block', forMs }),
  ),
  'move-clock': fault(
    { summary: "moves a party's wall clock", example: '{party: steady-1, by: -1 h}' },
    fields('a map with party and by', map => ({
      party: map.need('party', role),
      byMs: map.need('by', duration),
    })),
    ({ stage }, { party, byMs }) => stage.load.trick(party, { is: 'clock', byMs }),
  ),
  'kill-party-before-ack': fault(
    {
      summary:
        'holds back what a party says, waits until it has handled and marked a message, then SIGKILL: its acknowledgement never went out',
      example: 'steady-1',
      needsLinks: ['blackhole'],
    },
    role,
    async (play, party) => {
      const { links, stage } = play
      links.blackhole(true, undefined, ['up'])
      await stage.load.handled(party, HANDLED_LIMIT_MS)
      await new Promise(resolve => setTimeout(resolve, MARKED_MS))
      await stage.load.kill(party)
      links.blackhole(false)
    },
  ),
}
