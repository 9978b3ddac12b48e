/** Words that do something to processes of the load: publishers and consumers die, freeze, hang, lose their clock. */
import { choice, duration, fields, size } from './fields.js'
import { restoreOutbox, saveOutbox, tearOutbox } from './party-state.js'
import { participantOf } from './play.js'
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
  'kill-active-worker': fault(
    {
      summary: 'SIGKILL to the worker that is served, of several that consume an inbox',
      example: 'steady-1',
    },
    role,
    async ({ stage }, party) => {
      const worker = stage.load.active(party)
      stage.note(`kill ${worker}`)
      await stage.load.kill(worker)
    },
  ),
  'shut-down-active-worker': fault(
    { summary: 'drains and ends the worker that is served', example: 'steady-1' },
    role,
    async ({ stage }, party) => {
      const worker = stage.load.active(party)
      stage.note(`shut down ${worker}`)
      await stage.load.shutDown(worker)
    },
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
  mishap: fault(
    {
      summary:
        "something happens to a party's handler of its next message: die-in-handler, die-after-handler, poison, hang, fail",
      example: '{party: steady-1, is: die-in-handler}',
    },
    fields('a map with party and is', map => ({
      party: map.need('party', role),
      is: map.need('is', choice('die-in-handler', 'die-after-handler', 'poison', 'hang', 'fail')),
    })),
    ({ stage }, { party, is }) => stage.load.trick(party, { is }),
  ),
  'await-end': word(
    { summary: "waits until a party's process has ended by itself", example: 'steady-1' },
    role,
    async ({ stage }, party) => await stage.load.ended(party, HANDLED_LIMIT_MS),
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
  'break-disk': fault(
    {
      summary:
        "a party's files cannot be written any more (full), or not be synced (fsync-fails), until it is started again",
      example: '{party: steady-1, how: full}',
    },
    fields('a map with party and how', map => ({
      party: map.need('party', role),
      fault: map.need('how', choice('full', 'fsync-fails')),
    })),
    ({ stage }, { party, fault: disk }) => stage.load.trick(party, { is: 'disk', fault: disk }),
  ),
  'save-outbox': word(
    { summary: "copies a party's outbox: a backup", example: 'steady-1' },
    role,
    ({ stage }, party) => saveOutbox(participantOf(stage.cast, party).identity),
  ),
  'restore-outbox': fault(
    { summary: 'puts the copy in the place of the outbox of a party that has ended', example: 'steady-1' },
    role,
    ({ stage }, party) => restoreOutbox(participantOf(stage.cast, party).identity),
  ),
  'tear-outbox': fault(
    {
      summary: 'leaves the first bytes of one more record at the end of the outbox of a party that has ended',
      example: '{party: steady-1, bytes: 20 B}',
    },
    fields('a map with party and bytes', map => ({
      party: map.need('party', role),
      bytes: map.need('bytes', size),
    })),
    ({ stage }, { party, bytes }) =>
      stage.note(`torn: ${tearOutbox(participantOf(stage.cast, party).identity, bytes)}`),
  ),
  'kill-party-before-ack': fault(
    {
      summary:
        'holds back what a party says, waits until it has handled and marked a message, then SIGKILL: its acknowledgement never went out',
      example: 'steady-1',
    },
    role,
    async ({ stage }, party) => {
      const links = stage.linksOf(party)
      links.blackhole(true, undefined, ['up'])
      await stage.load.handled(party, HANDLED_LIMIT_MS)
      await new Promise(resolve => setTimeout(resolve, MARKED_MS))
      await stage.load.kill(party)
      links.heal()
    },
  ),
}
