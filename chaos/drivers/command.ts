/**
 * Drives a cluster by the user's own commands: for every cluster that no other driver knows. `--driver-config FILE`:
 *
 * ```yaml
 * nodes: [rabbit@a, rabbit@b, rabbit@c]    # in the order of --brokers; default: node1, node2, …
 * timeout: 60                              # of one command, seconds
 * actions:
 *   kill: [ssh, root@{host}, systemctl, kill, -s, KILL, rabbitmq-server]
 *   start: { run: [ssh, root@{host}, systemctl, start, rabbitmq-server], timeout: 180 }
 *   partition: { shell: true, run: './cut.sh {groups}' }
 *   healPartition: [./mend.sh]
 * words: { rabbit@a: { host: a.example }, rabbit@b: { host: b.example }, rabbit@c: { host: c.example } }
 * eval: [ssh, root@{host}, rabbitmqctl, --quiet, eval, '{expression}']
 * heal: [./mend-everything.sh]
 * ```
 *
 * An action's name is one of actions.ts. A command is a list of a program and its arguments, run without a shell; with
 * `shell: true` it is a line for `/bin/sh`, in which everything put in is quoted. Ends with 0: done; anything else: not injected.
 * With `eval` everything that an operator can do within the broker needs no command. What breaks something is accepted only
 * with what ends it, or with `heal`, which is run in the end whatever happened.
 */
import { asEncoded, decoded } from '../../cluster/erlang.js'
import { VHOST } from '../../cluster/index.js'
import { asError, SealbusError } from '../../src/errors.js'
import { ACTIONS, type Action, type Actions } from './actions.js'
import { commandActions } from './command-actions.js'
import { type CommandSpec, commandSpec, expand, type Words } from './command-template.js'
import type { Driver, DriverSettings, MakeDriver } from './driver.js'
import type { Shell } from './erlang.js'
import { untilWhole } from './health.js'
import { operatorActions } from './operator.js'
import { runCommand } from './program.js'
import { ConfigMap, perBroker, seconds, text, texts } from './settings.js'
import { undoable, undoneBy } from './undoing.js'

const TIMEOUT_MS = 60_000
const EXAMPLE = 'actions: {kill: [./kill.sh, "{node}"], start: [./start.sh, "{node}"]}'

/** A configuration, checked. */
interface Plan {
  readonly nodes: readonly string[]
  readonly words: ReadonlyMap<string, Words>
  readonly timeoutMs: number
  readonly actions: ReadonlyMap<Action, CommandSpec>
  readonly evaluate: CommandSpec | undefined
  readonly heal: CommandSpec | undefined
}

/** @throws SealbusError `configuration` */
export const commandDriver: MakeDriver = settings => Promise.resolve(driverOf(planOf(settings), settings))

function driverOf(plan: Plan, { brokers }: DriverSettings): Driver {
  const { nodes, words, timeoutMs, evaluate: evaluation, heal } = plan
  const run = async (spec: CommandSpec, given: Words, node?: string): Promise<string> =>
    await runCommand(
      expand(spec, { ...(node === undefined ? {} : { node, ...words.get(node) }), ...given }, timeoutMs),
    )
  const shell: Shell | undefined = evaluation && {
    nodes,
    evaluate: async (expression, node) =>
      decoded(node, await run(evaluation, { expression: asEncoded(expression).trim() }, node)),
  }
  const { actions, undo, close } = undoable(nodes, {
    ...(shell === undefined ? {} : operatorActions(shell)),
    ...commandActions(plan.actions, run),
  })
  /** The command for healing mends also what could not be undone step by step. */
  const mended = async (undone: () => Promise<void>): Promise<void> => {
    const failure = await undone().then(() => undefined, asError)
    if (heal !== undefined) await run(heal, {})
    else if (failure !== undefined) throw failure
  }
  return {
    kind: 'command',
    nodes,
    url: node => brokers[nodes.indexOf(node)] ?? '',
    actions,
    async heal() {
      await mended(undo)
      if (shell !== undefined) await untilWhole(shell, VHOST)
    },
    close: () => mended(close),
  }
}

function planOf(settings: DriverSettings): Plan {
  const { brokers, configFile = 'the driver configuration' } = settings
  const config = ConfigMap.of(settings, 'command', EXAMPLE)
  const named = config.maybe('nodes', texts)
  const nodes =
    named === undefined
      ? brokers.map((_, i) => `node${i + 1}`)
      : perBroker(named, brokers, `${configFile}: nodes`)
  const plan: Plan = {
    nodes,
    words: config.maybe('words', wordsOf) ?? new Map<string, Words>(),
    timeoutMs: config.maybe('timeout', seconds) ?? TIMEOUT_MS,
    actions: config.maybe('actions', actionsOf) ?? new Map<Action, CommandSpec>(),
    evaluate: config.maybe('eval', commandSpec),
    heal: config.maybe('heal', commandSpec),
  }
  config.done()
  checkNodes(plan, configFile)
  checkEnds(plan, configFile)
  return plan
}

function actionsOf(given: unknown, where: string): Map<Action, CommandSpec> {
  const map = new ConfigMap(given, where)
  return new Map(
    map.left.map(name => {
      if (!ACTIONS.has(name as Action))
        throw new SealbusError(
          'configuration',
          `${where}: ${name} is no action; there are ${[...ACTIONS].join(', ')}`,
        )
      return [name as Action, map.need(name, commandSpec)]
    }),
  )
}

/** Node by node, more to put into templates. */
function wordsOf(given: unknown, where: string): Map<string, Words> {
  const map = new ConfigMap(given, where)
  return new Map(
    map.left.map(node => {
      const words = map.need(node, (each, place) => new ConfigMap(each, place))
      return [node, Object.fromEntries(words.left.map(word => [word, words.need(word, text)]))]
    }),
  )
}

function checkNodes({ nodes, words }: Plan, where: string): void {
  const odd = [...words.keys()].find(node => !nodes.includes(node))
  if (odd === undefined) return
  throw new SealbusError('configuration', `${where}: words: ${odd} is no node; there are ${nodes.join(', ')}`)
}

/** @throws SealbusError `configuration` for an action that nothing would end */
function checkEnds({ actions, heal, evaluate }: Plan, where: string): void {
  if (heal !== undefined) return
  for (const action of actions.keys()) {
    const end = undoneBy(action)
    if (end === undefined || actions.has(end) || (evaluate !== undefined && isOperators(end))) continue
    throw new SealbusError(
      'configuration',
      `${where}: actions: ${action} would never be ended: give ${end} too, or heal`,
    )
  }
}

const NEVER: Shell = { nodes: [], evaluate: () => Promise.reject(new Error('never asked')) }
const OPERATORS: ReadonlySet<string> = new Set(Object.keys(operatorActions(NEVER) satisfies Partial<Actions>))

/** What `eval` gives. */
function isOperators(action: Action): boolean {
  return OPERATORS.has(action)
}
