/**
 * Drives nodes that each have a network namespace (cluster/network.ts, root): as the local driver, but a partition is one of
 * the network. What is cut is silent: nodes find out after `net_ticktime`, and clients reach all of them as before.
 */
import { type Cluster, type NodeNetwork, setNodeLink, setPath } from '../../cluster/index.js'
import { SealbusError } from '../../src/errors.js'
import type { Actions } from './actions.js'
import { separated } from './distribution.js'
import { type LocalDriver, type LocalOptions, localDriver } from './local.js'

/** @throws SealbusError `configuration` for nodes without namespaces */
export function netnsDriver(cluster: Cluster, options: Omit<LocalOptions, 'network'> = {}): LocalDriver {
  const networks = new Map(cluster.nodes.map(node => [node.name, node.network]))
  const at = (name: string): NodeNetwork => {
    const network = networks.get(name)
    if (network !== undefined) return network
    throw new SealbusError('configuration', `driver netns: ${name} has no network namespace of its own`)
  }
  for (const name of networks.keys()) at(name)
  return {
    ...localDriver(cluster, { ...options, network: networkActions([...networks.keys()], at) }),
    kind: 'netns',
  }
}

function networkActions(
  names: readonly string[],
  at: (name: string) => NodeNetwork,
): Pick<Actions, 'partition' | 'healPartition'> {
  const open = (): void => {
    for (const name of names) setNodeLink(at(name), true)
    for (const a of names) for (const b of names) if (a !== b) setPath(at(a), at(b), true)
  }
  return {
    partition(groups) {
      const pairs = separated(names, groups)
      open()
      const alone = names.filter(
        name => pairs.filter(pair => pair.includes(name)).length === names.length - 1,
      )
      for (const name of alone) setNodeLink(at(name), false)
      for (const [a, b] of pairs) {
        if (alone.includes(a) || alone.includes(b)) continue
        setPath(at(a), at(b), false)
        setPath(at(b), at(a), false)
      }
      return Promise.resolve()
    },
    healPartition() {
      open()
      return Promise.resolve()
    },
  }
}
