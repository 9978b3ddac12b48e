/**
 * Bookkeeping for drivers that cannot look into a cluster: what is broken is written down before it is, with the action
 * that ends it; healing runs these, the last first. What cannot be ended does not keep the rest from being ended.
 */
import type { Action, Actions } from './actions.js'

type Given = readonly unknown[]
type Run = (...given: Given) => Promise<unknown>

/** How a breaking action is ended. */
interface Undo {
  readonly by: Action
  /** Arguments of what ends it; default: none. */
  readonly args?: (given: Given, nodes: readonly string[]) => Given
  /** Whether these arguments break anything; default: all do. */
  readonly breaks?: (given: Given, nodes: readonly string[]) => boolean
}

const OF_FIRST = { args: ([first]: Given): Given => [first] }
const OFF = { args: ([node]: Given): Given => [node, false], breaks: ([, on]: Given): boolean => on === true }

const UNDO: Readonly<Partial<Record<Action, Undo>>> = {
  kill: { by: 'start', ...OF_FIRST },
  terminate: { by: 'start', ...OF_FIRST },
  pause: { by: 'resume', ...OF_FIRST },
  drain: { by: 'revive', ...OF_FIRST },
  partition: { by: 'healPartition' },
  listenOnly: {
    by: 'listenOnly',
    args: (_, nodes) => [nodes],
    breaks: ([wanted], nodes) => !nodes.every(node => (wanted as readonly string[]).includes(node)),
  },
  limitConnections: {
    by: 'limitConnections',
    args: () => [undefined],
    breaks: ([limit]) => limit !== undefined,
  },
  limitBodies: { by: 'limitBodies', args: () => [undefined], breaks: ([bytes]) => bytes !== undefined },
  memoryAlarm: { by: 'memoryAlarm', ...OFF },
  diskAlarm: { by: 'diskAlarm', ...OFF },
  setPolicy: { by: 'clearPolicy', ...OF_FIRST },
  replaceCertificates: {
    by: 'replaceCertificates',
    args: () => ['valid'],
    breaks: ([which]) => which === 'expired',
  },
  deleteQueue: { by: 'restoreDefinitions' },
  replaceQueue: { by: 'restoreDefinitions' },
  deleteExchange: { by: 'restoreDefinitions' },
  unbind: { by: 'restoreDefinitions' },
  revokePermissions: { by: 'restoreDefinitions' },
  deleteUser: { by: 'restoreDefinitions' },
  grantEverything: { by: 'restoreDefinitions' },
  deleteVhost: { by: 'restoreDefinitions' },
}

/** The action that ends what this one breaks; undefined for one that leaves nothing behind. */
export function undoneBy(action: Action): Action | undefined {
  return UNDO[action]?.by
}

/** The same actions, remembering, and what ends all that they broke. */
export interface Undoable {
  readonly actions: Partial<Actions>
  /** @throws Error that names what could not be ended; the next call tries that again */
  readonly undo: () => Promise<void>
  /** The end: what is under way is waited for, nothing more is begun, and all is undone. */
  readonly close: () => Promise<void>
}

/** Actions that remember what they broke. */
export function undoable(nodes: readonly string[], actions: Partial<Actions>): Undoable {
  const underWay = new Set<Promise<unknown>>()
  let isClosed = false
  const owed = new Map<string, { by: Action; args: Given }>()
  const call = async (action: Action, given: Given): Promise<unknown> => {
    const run = actions[action] as Run | undefined
    if (run === undefined) throw new Error(`nothing is known that does ${action}`)
    const result = await run(...given)
    owed.delete(keyOf(action, given))
    return result
  }
  const remembering = async (action: Action, given: Given): Promise<unknown> => {
    if (isClosed) throw new Error(`not injected: ${action}: the driver has been closed`)
    const end = UNDO[action]
    if (end !== undefined && (end.breaks?.(given, nodes) ?? true)) {
      const args = end.args?.(given, nodes) ?? []
      owed.set(keyOf(end.by, args), { by: end.by, args })
    }
    const running = call(action, given)
    underWay.add(running)
    return await running.finally(() => underWay.delete(running))
  }
  const undo = async (): Promise<void> => {
    const failures: string[] = []
    for (const { by, args } of [...owed.values()].reverse()) {
      await call(by, args).catch((error: unknown) => {
        failures.push(`${by} ${args.join(' ')}: ${error instanceof Error ? error.message : String(error)}`)
      })
    }
    if (failures.length > 0) throw new Error(`not healed: ${failures.join('; ')}`)
  }
  const names = Object.keys(actions) as Action[]
  return {
    actions: Object.fromEntries(
      names.map(action => [action, (...given: Given) => remembering(action, given)]),
    ),
    undo,
    async close() {
      isClosed = true
      await Promise.allSettled(underWay)
      await undo()
    },
  }
}

/** What ends something is known by its arguments; options behind a node's name do not matter. */
function keyOf(action: Action, given: Given): string {
  const counted = action === 'start' ? given.slice(0, 1) : given
  return JSON.stringify([action, ...counted.map(each => each ?? null)])
}
