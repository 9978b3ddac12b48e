/**
 * Drives nodes that run in containers, by the `docker` command (or `podman`). What happens within the broker goes through
 * `rabbitmqctl eval` in the containers. `--driver-config FILE`:
 *
 * ```yaml
 * containers: [deploy-rmq1-1, deploy-rmq2-1, deploy-rmq3-1]   # in the order of --brokers
 * network: deploy_nodes        # only for partitions: inter-node traffic alone; clients come by another
 * program: docker              # or podman, or a path
 * timeout: 60                  # of one command, seconds
 * ```
 *
 * A partition disconnects containers from that network one by one: it isolates nodes, and cannot cut one pair of three.
 */
import { asEncoded, decoded } from '../../cluster/erlang.js'
import { VHOST } from '../../cluster/index.js'
import type { Actions } from './actions.js'
import { separated } from './distribution.js'
import type { Driver, MakeDriver } from './driver.js'
import type { Shell } from './erlang.js'
import { untilWhole } from './health.js'
import { operatorActions } from './operator.js'
import { runCommand } from './program.js'
import { ConfigMap, perBroker, seconds, text, texts } from './settings.js'
import { undoable } from './undoing.js'
import { until } from './waiting.js'

const TIMEOUT_MS = 60_000
const START_LIMIT_MS = 120_000
const STOP_GRACE_S = 55 // below the command's own limit
const EXAMPLE = 'containers: [rmq1, rmq2, rmq3]'

/** Runs `docker …`; its standard output without the last line feed. */
type Docker = (...args: readonly string[]) => Promise<string>

/** What `docker inspect` says of a container's place in a network. */
interface Attachment {
  readonly Aliases?: readonly string[] | null
  readonly IPAMConfig?: { readonly IPv4Address?: string } | null
}

/** @throws SealbusError `configuration`; CommandError when the containers do not answer */
export const dockerDriver: MakeDriver = async settings => {
  const config = ConfigMap.of(settings, 'docker', EXAMPLE)
  const program = config.maybe('program', text) ?? 'docker'
  const timeoutMs = config.maybe('timeout', seconds) ?? TIMEOUT_MS
  const containers = perBroker(config.need('containers', texts), settings.brokers, 'containers')
  const network = config.maybe('network', text)
  config.done()
  const docker: Docker = async (...args) =>
    (await runCommand({ argv: [program, ...args], timeoutMs })).trimEnd()
  const names = await Promise.all(containers.map(container => nameOf(docker, container)))
  const containerOf = (node: string): string => containers[names.indexOf(node)] ?? node
  const away = new Set<string>()
  const shell: Shell = {
    nodes: names,
    evaluate: async (expression, node) =>
      decoded(
        node,
        await docker('exec', containerOf(node), 'rabbitmqctl', '--quiet', 'eval', asEncoded(expression)),
      ),
    answers: node => !away.has(node),
  }
  const { actions, undo, close } = undoable(names, {
    ...operatorActions(shell),
    ...processActions(docker, shell, containerOf, away),
    ...(network === undefined ? {} : networkActions(docker, names, containerOf, network)),
  })
  return driverOf({ names, brokers: settings.brokers, shell, actions, undo, close })
}

function driverOf(parts: {
  names: readonly string[]
  brokers: readonly string[]
  shell: Shell
  actions: Partial<Actions>
  undo: () => Promise<void>
  close: () => Promise<void>
}): Driver {
  const { names, brokers, shell, actions, undo, close } = parts
  return {
    kind: 'docker',
    nodes: names,
    url: node => brokers[names.indexOf(node)] ?? '',
    actions,
    version: async () =>
      `rabbitmq ${String(await shell.evaluate('list_to_binary(rabbit_misc:version())', names[0] ?? ''))}`,
    async heal() {
      await undo()
      await untilWhole(shell, VHOST)
    },
    close,
  }
}

/** The broker's own name for itself. */
async function nameOf(docker: Docker, container: string): Promise<string> {
  const expression = asEncoded('atom_to_binary(node())')
  return String(
    decoded(container, await docker('exec', container, 'rabbitmqctl', '--quiet', 'eval', expression)),
  )
}

function processActions(
  docker: Docker,
  shell: Shell,
  containerOf: (node: string) => string,
  away: Set<string>,
): Pick<Actions, 'kill' | 'terminate' | 'start' | 'pause' | 'resume'> {
  /** n.b. docker may report success for what a restart policy has undone already: look. */
  const expect = async (node: string, field: 'Running' | 'Paused', wanted: boolean): Promise<void> => {
    const is = await docker('inspect', '--format', `{{.State.${field}}}`, containerOf(node))
    if (is !== String(wanted))
      throw new Error(
        `not injected: ${containerOf(node)}: expected State.${field} ${wanted}, docker says ${is}`,
      )
  }
  const ended = async (node: string, ...args: readonly string[]): Promise<void> => {
    await docker(...args, containerOf(node))
    await expect(node, 'Running', false)
    away.add(node)
  }
  return {
    kill: node => ended(node, 'kill', '--signal', 'KILL'),
    terminate: node => ended(node, 'stop', '--time', String(STOP_GRACE_S)),
    async start(node, { wait = true } = {}) {
      await docker('start', containerOf(node))
      away.delete(node)
      if (!wait) return
      const runs = (): Promise<boolean> =>
        shell.evaluate('rabbit:is_running()', node).then(
          is => is === true,
          () => false,
        )
      await until(runs, `${node} to serve`, START_LIMIT_MS)
    },
    async pause(node) {
      await docker('pause', containerOf(node))
      await expect(node, 'Paused', true)
      away.add(node)
    },
    async resume(node) {
      if ((await docker('inspect', '--format', '{{.State.Paused}}', containerOf(node))) === 'true')
        await docker('unpause', containerOf(node))
      away.delete(node)
    },
  }
}

function networkActions(
  docker: Docker,
  names: readonly string[],
  containerOf: (node: string) => string,
  network: string,
): Pick<Actions, 'partition' | 'healPartition'> {
  const left = new Map<string, Attachment>()
  const reconnect = async (): Promise<void> => {
    for (const [container, { Aliases, IPAMConfig }] of left) {
      const address = IPAMConfig?.IPv4Address
      const options = [
        ...(Aliases ?? []).flatMap(alias => ['--alias', alias]),
        ...(address === undefined ? [] : ['--ip', address]),
      ]
      await docker('network', 'connect', ...options, network, container)
      left.delete(container)
    }
  }
  return {
    async partition(groups) {
      const wanted = alone(names, groups).map(containerOf)
      await reconnect()
      for (const container of wanted) {
        const attachment = await attachmentOf(docker, container, network)
        await docker('network', 'disconnect', network, container)
        left.set(container, attachment)
      }
    },
    healPartition: reconnect,
  }
}

/** Nodes that see nobody: all others must see each other. @throws Error for another partition */
function alone(names: readonly string[], groups: readonly (readonly string[])[]): string[] {
  const pairs = separated(names, groups)
  const cutFrom = (node: string): number => pairs.filter(pair => pair.includes(node)).length
  const isolated = names.filter(node => cutFrom(node) === names.length - 1)
  const explained = pairs.every(pair => pair.some(node => isolated.includes(node)))
  if (explained) return isolated
  throw new Error(
    'not injected: driver docker isolates nodes one by one, by their network; it cannot cut one pair of several. Use --driver command',
  )
}

/** @throws Error when the container is not in the network, or in no other: clients would lose it too */
async function attachmentOf(docker: Docker, container: string, network: string): Promise<Attachment> {
  const format = '{{json .NetworkSettings.Networks}}'
  const networks = JSON.parse(await docker('inspect', '--format', format, container)) as Record<
    string,
    Attachment
  >
  const attachment = networks[network]
  const known = Object.keys(networks).join(', ') || 'none'
  if (attachment === undefined)
    throw new Error(`not injected: ${container} is not in the network ${network}; it is in ${known}`)
  if (Object.keys(networks).length === 1)
    throw new Error(
      `not injected: ${container} is in no other network than ${network}, so clients would lose it too: give inter-node traffic one of its own`,
    )
  return attachment
}
