/** The scenario files that come with the tool: the rows of docs/DELIVERY.md, by number, and how they are chosen. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crowdFault } from './crowd-fault.js'
import type { Fault } from './fault.js'
import { readScriptFile } from './read-script.js'
import { runOnce } from './run.js'
import type { Script } from './script.js'
import { scenarioOf } from './scripted.js'
import { soakFault } from './soak-fault.js'

/** Rows, as the table has them. Sub-cases are files of their own; a row's report sums them up. */
export const ROW_NAMES: Readonly<Record<number, string>> = {
  1: 'kill -9 the leader, clients elsewhere',
  2: 'kill -9 the leader that clients are connected to',
  3: 'kill -9 a follower',
  4: 'SIGTERM a node; drain and revive',
  5: 'rolling restart of all three under load',
  6: 'two of three down for 20 s; all down for 60 s',
  7: 'partition between nodes, leader isolated; clients on the minority; partial partition',
  8: 'SIGSTOP the leader; SIGSTOP the connected node',
  9: 'client link blackholed, no reset',
  10: 'reset at a random byte, in handshake, channel open, declare, consume',
  11: 'blackhole during close or set-up',
  12: '200 ms latency, 50 KB/s, 10-byte slices',
  13: 'an operator closes all connections every 2 s',
  14: 'memory alarm, disk alarm',
  15: 'queue deleted under consumer and publisher; exchange or binding removed',
  16: 'queue declared with other arguments; poison publish; one inbox full among many',
  17: 'permission revoked, user deleted, vhost removed, then restored',
  18: "server's TLS certificate expires, is replaced; client's is rotated",
  19: 'publisher killed mid-burst, restarted with its outbox; outbox restored from an older copy',
  20: 'torn outbox tail, full disk, fsync error',
  21: 'consumer killed in the handler, after it, after the mark',
  22: 'of two consumers the active one is killed, is shut down',
  23: 'message that kills the process, prefetch 100, batches',
  24: 'handler hangs past its limit',
  25: 'slow consumer, queue at its limit',
  26: 'clock jumps an hour, both ways; event loop blocked 12 s',
  27: "DNS fails or changes; connection limit reached; 200 clients at a node's death",
  28: 'somebody with broker rights replays, reorders, withholds, pre-sends, injects',
  29: 'soak: one of these at random every 5 to 15 s',
}

/** For `npm test`: a node's death, reset links, a process that dies in its handler. A minute and a half on two cores. */
export const QUICK: readonly string[] = ['2', '10a', '21a']

/** Of a row's id, or of a sub-case's; undefined for ids of one's own. */
export function rowOf(id: string): number | undefined {
  const match = /^(\d+)[a-z]?$/.exec(id)
  return match === null ? undefined : Number(match[1])
}

/** The folder of the files: beside the sources, from which dist/ lies two levels below. */
export function faultsFolder(): string {
  const candidates = ['./faults/', '../../chaos/faults/'].map(path =>
    fileURLToPath(new URL(path, import.meta.url)),
  )
  return candidates.find(folder => existsSync(folder)) ?? candidates.join(' or ')
}

let read: readonly Fault[] | undefined

/** A fault that a scenario file describes. */
export function faultOf(script: Script): Fault {
  const scenario = scenarioOf(script)
  const { id, name, description, bound } = scenario
  return {
    ...{ id, name, description, bound },
    run: (setting, run, random) => runOnce(scenario, setting, run, random),
  }
}

/** All of them, in the order of the table. @throws SealbusError `configuration` for a file that is wrong */
export function shippedFaults(): readonly Fault[] {
  const files = readdirSync(faultsFolder()).filter(name => name.endsWith('.yaml'))
  const scripted = (): Fault[] => files.map(name => faultOf(readScriptFile(join(faultsFolder(), name))))
  read ??= [...scripted(), crowdFault, soakFault].sort(
    (a, b) => (rowOf(a.id) ?? 0) - (rowOf(b.id) ?? 0) || a.id.localeCompare(b.id),
  )
  return read
}

/**
 * Faults by row or sub-case: `4` means all of 4, `4b` only that one.
 * @throws RangeError for an id that nothing has
 */
export function selectFaults(ids: readonly string[], from: readonly Fault[] = shippedFaults()): Fault[] {
  const chosen = ids.flatMap(id => {
    const found = from.filter(fault => fault.id === id || String(rowOf(fault.id)) === id)
    if (found.length > 0) return found
    throw new RangeError(
      `no fault ${id}; there are ${from.map(fault => fault.id).join(', ')} (a whole row by its number)`,
    )
  })
  return [...new Set(chosen)]
}
