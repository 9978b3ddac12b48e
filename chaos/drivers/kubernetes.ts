/**
 * Drives nodes that run in pods of a StatefulSet, by `kubectl`. What happens within the broker goes through
 * `rabbitmqctl eval` in the pods. `--driver-config FILE`:
 *
 * ```yaml
 * pods: [rabbit-0, rabbit-1, rabbit-2]   # in the order of --brokers
 * namespace: messaging
 * container: rabbitmq          # where a pod has several
 * context: staging             # of kubectl; default: the current one
 * program: kubectl
 * timeout: 60                  # of one command, seconds
 * ```
 *
 * n.b. the controller starts a deleted pod again by itself: such a fault heals when it pleases, and `start` waits for that. A
 * liveness probe that fails ends a frozen node: give it more patience than the fault lasts. Partitions need the network
 * plug-in's own means: give the command driver a command for them.
 */
import { asEncoded, decoded } from '../../cluster/erlang.js'
import { VHOST } from '../../cluster/index.js'
import type { Actions } from './actions.js'
import type { MakeDriver } from './driver.js'
import type { Shell } from './erlang.js'
import { untilWhole } from './health.js'
import { operatorActions } from './operator.js'
import { runCommand } from './program.js'
import { ConfigMap, perBroker, seconds, text, texts } from './settings.js'
import { undoable } from './undoing.js'
import { until } from './waiting.js'

const TIMEOUT_MS = 60_000
const START_LIMIT_MS = 180_000
const EXAMPLE = 'pods: [rabbit-0, rabbit-1, rabbit-2]'

/** Runs `kubectl …`; its standard output without the last line feed. */
type Kubectl = (...args: readonly string[]) => Promise<string>

/**
 * Sends a signal to every Erlang machine of the pod and looks whether it took it: process 1 of a container ignores SIGSTOP.
 * Written for the smallest of shells; images have no pkill. n.b. a busy machine takes it a moment later.
 */
function signalScript(name: 'STOP' | 'CONT'): string {
  const taken = `${name === 'STOP' ? '' : '! '}grep -q '^State:.*T' $p/status`
  return (
    'n=0; for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = beam.smp ] || continue; ' +
    `kill -${name} "\${p#/proc/}" || exit 1; i=0; until ${taken}; do i=$((i+1)); ` +
    `[ $i -le 5 ] || { echo "beam.smp did not take SIG${name}" >&2; exit 1; }; sleep 1; done; ` +
    'n=1; done; [ $n = 1 ] || { echo "no beam.smp runs here" >&2; exit 1; }'
  )
}

/** @throws SealbusError `configuration`; CommandError when the pods do not answer */
export const kubernetesDriver: MakeDriver = async settings => {
  const config = ConfigMap.of(settings, 'kubernetes', EXAMPLE)
  const program = config.maybe('program', text) ?? 'kubectl'
  const timeoutMs = config.maybe('timeout', seconds) ?? TIMEOUT_MS
  const pods = perBroker(config.need('pods', texts), settings.brokers, 'pods')
  const [context, namespace] = [config.maybe('context', text), config.maybe('namespace', text)]
  const container = config.maybe('container', text)
  config.done()
  const where = [...option('--context', context), ...option('--namespace', namespace)]
  const kubectl: Kubectl = async (...args) =>
    (await runCommand({ argv: [program, ...where, ...args], timeoutMs })).trimEnd()
  const inPod = (pod: string, ...argv: readonly string[]): Promise<string> =>
    kubectl('exec', pod, ...option('--container', container), '--', ...argv)
  const evaluateIn = async (pod: string, expression: string): Promise<unknown> =>
    decoded(pod, await inPod(pod, 'rabbitmqctl', '--quiet', 'eval', asEncoded(expression)))
  const names = await Promise.all(
    pods.map(async pod => String(await evaluateIn(pod, 'atom_to_binary(node())'))),
  )
  const podOf = (node: string): string => pods[names.indexOf(node)] ?? node
  const frozen = new Set<string>()
  const shell: Shell = {
    nodes: names,
    evaluate: (expression, node) => evaluateIn(podOf(node), expression),
    answers: node => !frozen.has(node),
  }
  const { actions, undo, close } = undoable(names, {
    ...operatorActions(shell),
    ...podActions({ kubectl, inPod, podOf, shell, frozen }),
  })
  return {
    kind: 'kubernetes',
    nodes: names,
    url: node => settings.brokers[names.indexOf(node)] ?? '',
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

function podActions(parts: {
  kubectl: Kubectl
  inPod: (pod: string, ...argv: readonly string[]) => Promise<string>
  podOf: (node: string) => string
  shell: Shell
  frozen: Set<string>
}): Pick<Actions, 'kill' | 'terminate' | 'start' | 'pause' | 'resume'> {
  const { kubectl, inPod, podOf, shell, frozen } = parts
  const uid = (pod: string): Promise<string> =>
    kubectl('get', 'pod', pod, '--ignore-not-found', '--output', 'jsonpath={.metadata.uid}')
  const deleted = async (node: string, ...options: readonly string[]): Promise<void> => {
    const pod = podOf(node)
    const before = await uid(pod)
    if (before === '') throw new Error(`not injected: there is no pod ${pod}`)
    await kubectl('delete', 'pod', pod, '--wait=true', ...options)
    if ((await uid(pod)) === before) throw new Error(`not injected: the pod ${pod} is still the same`)
  }
  return {
    kill: node => deleted(node, '--grace-period=0', '--force'),
    terminate: node => deleted(node),
    async start(node, { wait = true } = {}) {
      if (!wait) return
      const serves = (): Promise<boolean> =>
        shell.evaluate('rabbit:is_running()', node).then(
          is => is === true,
          () => false,
        )
      await until(serves, `${podOf(node)} to be started by its controller`, START_LIMIT_MS)
    },
    async pause(node) {
      await inPod(podOf(node), 'sh', '-c', signalScript('STOP'))
      frozen.add(node)
    },
    async resume(node) {
      await inPod(podOf(node), 'sh', '-c', signalScript('CONT'))
      frozen.delete(node)
    },
  }
}

function option(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [name, value]
}
