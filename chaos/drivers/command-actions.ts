/** Which words each action puts into its command, and what is read from what the command prints. */
import type { Action, Actions } from './actions.js'
import type { CommandSpec, Words } from './command-template.js'

/** Runs a command for a node or for none; gives its standard output. */
export type RunSpec = (spec: CommandSpec, words: Words, node?: string) => Promise<string>

/** How an action becomes words: the node that it is about, and the rest. */
type Wording<A extends Action> = (...given: Parameters<Actions[A]>) => { node?: string; words?: Words }

const onNode = (node: string): { node: string } => ({ node })
const onOff = (node: string, on: boolean): { node: string; words: Words } => ({
  node,
  words: { on: on ? 'on' : 'off' },
})
const nothing = (): { words: Words } => ({ words: {} })

const WORDING: { readonly [A in Action]: Wording<A> } = {
  kill: onNode,
  terminate: onNode,
  start: onNode,
  pause: onNode,
  resume: onNode,
  drain: onNode,
  revive: onNode,
  moveLeaders: onNode,
  partition: groups => ({ words: { groups: groups.map(group => group.join(',')).join('|') } }),
  healPartition: nothing,
  listenOnly: nodes => ({ words: { nodes: nodes.join(',') } }),
  closeConnections: reason => ({ words: { reason } }),
  limitConnections: limit => ({ words: { limit: limit === undefined ? 'none' : String(limit) } }),
  memoryAlarm: onOff,
  diskAlarm: onOff,
  deleteQueue: queue => ({ words: { queue } }),
  replaceQueue: (queue, args) => ({ words: { queue, arguments: JSON.stringify(args) } }),
  deleteExchange: exchange => ({ words: { exchange } }),
  unbind: (exchange, queue) => ({ words: { exchange, queue } }),
  setPolicy: (name, { pattern, definition }) => ({
    words: { name, pattern, definition: JSON.stringify(definition) },
  }),
  clearPolicy: name => ({ words: { name } }),
  revokePermissions: user => ({ words: { user } }),
  deleteUser: user => ({ words: { user } }),
  grantEverything: user => ({ words: { user } }),
  renewIdentity: address => ({ words: { address } }),
  limitBodies: bytes => ({ words: { bytes: bytes === undefined ? 'none' : String(bytes) } }),
  deleteVhost: nothing,
  restoreDefinitions: nothing,
  replaceCertificates: which => ({ words: { which } }),
  queues: addresses => ({ words: { addresses: (addresses ?? []).join(',') } }),
  connections: nothing,
  purge: addresses => ({ words: { addresses: addresses.join(',') } }),
}

/** What an action gives back, from what its command has printed; absent: nothing. */
const RESULT: Readonly<Partial<Record<Action, (output: string, where: string) => unknown>>> = {
  closeConnections: (output, where) => numberOf(output, where),
  connections: (output, where) => listOf(output, where).map(String),
  queues: (output, where) => listOf(output, where),
}

/** The actions that there are commands for. */
export function commandActions(specs: ReadonlyMap<Action, CommandSpec>, run: RunSpec): Partial<Actions> {
  const entries = [...specs].map(([action, spec]) => {
    const wording = WORDING[action] as (...given: readonly unknown[]) => { node?: string; words?: Words }
    const act = async (...given: readonly unknown[]): Promise<unknown> => {
      const { node, words = {} } = wording(...given)
      const output = await run(spec, words, node)
      return RESULT[action]?.(output, spec.where)
    }
    return [action, act] as const
  })
  return Object.fromEntries(entries)
}

function numberOf(output: string, where: string): number {
  const count = Number(output.trim() || Number.NaN)
  if (Number.isInteger(count) && count >= 0) return count
  throw new Error(
    `not injected: ${where}: expected a whole number on standard output, got ${output.slice(0, 200)}`,
  )
}

function listOf(output: string, where: string): unknown[] {
  try {
    const list: unknown = JSON.parse(output)
    if (Array.isArray(list)) return list
  } catch {
    // as below
  }
  throw new Error(`${where}: expected a JSON list on standard output, got ${output.slice(0, 200)}`)
}
