/**
 * One network namespace for each node, with two links: one to clients (and to this machine), one to the other nodes. What
 * happens to the second does not touch the first. Needs root, Linux and iproute2.
 *
 * ```text
 *   this machine ── bridge (10.C.254) ── clients@node i (10.C.i)
 *                     bridge, no address ── nodes@node i (10.N.i)
 * ```
 */
import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { SealbusError } from '../src/errors.js'

const LIMIT_MS = 10_000
/** Two octets behind `10.`; rarely taken by anybody. */
const CLIENTS_OCTET = 213
const NODES_OCTET = 214
/** An address that no interface of ours has: what is sent there arrives nowhere. */
const NOWHERE = '02:00:00:00:00:01'

/** The third octet of both networks: names everything that is made. */
export type NetworkNumber = number

/** Where one node is. */
export interface NodeNetwork {
  readonly namespace: string
  /** Clients dial it. */
  readonly clientAddress: string
  /** Nodes dial each other there. */
  readonly nodeAddress: string
  /** This machine's end of the link to the other nodes. */
  readonly nodeLink: string
}

/** A number that no interface of this machine uses. */
export function freeNetwork(): NetworkNumber {
  const taken = Object.values(networkInterfaces()).flatMap(all => all?.map(({ address }) => address) ?? [])
  for (let attempt = 0; attempt < 100; attempt++) {
    const number = randomInt(1, 255)
    if (!taken.some(address => address.startsWith(`10.${CLIENTS_OCTET}.${number}.`))) return number
  }
  throw new SealbusError(
    'configuration',
    `found no free network 10.${CLIENTS_OCTET}.x; remove what is left over: ip link`,
  )
}

/** Where node `i`, from 1, of such a network is. */
export function nodeNetwork(number: NetworkNumber, i: number): NodeNetwork {
  return {
    namespace: `sealbus-${number}-${i}`,
    clientAddress: `10.${CLIENTS_OCTET}.${number}.${i}`,
    nodeAddress: `10.${NODES_OCTET}.${number}.${i}`,
    nodeLink: `sbn${number}-${i}`,
  }
}

/** What clients dial to reach the first so many nodes: a certificate must name them. */
export function clientAddresses(number: NetworkNumber, nodes: number): string[] {
  return Array.from({ length: nodes }, (_, i) => nodeNetwork(number, i + 1).clientAddress)
}

/** Makes what is not there yet. @throws SealbusError `configuration` with what `ip` said: not root, or no iproute2 */
export function makeNetwork(number: NetworkNumber, nodes: number): void {
  if (exists(nodeNetwork(number, 1).namespace)) return
  const [clients, between] = bridges(number)
  ip('link', 'add', clients, 'type', 'bridge')
  ip('link', 'add', between, 'type', 'bridge')
  ip('addr', 'add', `10.${CLIENTS_OCTET}.${number}.254/24`, 'dev', clients)
  for (const bridge of [clients, between]) ip('link', 'set', bridge, 'up')
  for (let i = 1; i <= nodes; i++) {
    const { namespace, clientAddress, nodeAddress, nodeLink } = nodeNetwork(number, i)
    ip('netns', 'add', namespace)
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
    join(namespace, 'clients', `sbc${number}-${i}`, clients, clientAddress)
    join(namespace, 'nodes', nodeLink, between, nodeAddress)
  }
}

/** A link from a namespace to a bridge. */
function join(namespace: string, inside: string, outside: string, bridge: string, address: string): void {
  ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', namespace)
  ip('link', 'set', outside, 'master', bridge, 'up')
  ip('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', inside)
  ip('-n', namespace, 'link', 'set', inside, 'up')
}

/** Removes all of it; harmless where nothing is. n.b. synchronous: also called while the process exits */
export function removeNetwork(number: NetworkNumber, nodes: number): void {
  for (let i = 1; i <= nodes; i++) quietly('netns', 'del', nodeNetwork(number, i).namespace)
  for (const bridge of bridges(number)) quietly('link', 'del', bridge)
}

/** Runs in the namespace: put before a program and its arguments. */
export function within(network: NodeNetwork | undefined): readonly string[] {
  return network === undefined ? [] : ['ip', 'netns', 'exec', network.namespace]
}

/** The node's link to all others goes down, as a cable that is pulled; or up again. */
export function setNodeLink({ nodeLink }: NodeNetwork, up: boolean): void {
  ip('link', 'set', nodeLink, up ? 'up' : 'down')
}

/** What one node sends to the other is lost without a word, and nothing else is; or arrives again. */
export function setPath(from: NodeNetwork, to: NodeNetwork, open: boolean): void {
  const entry = [to.nodeAddress, 'dev', 'nodes']
  if (open) quietly('-n', from.namespace, 'neigh', 'del', ...entry)
  else ip('-n', from.namespace, 'neigh', 'replace', ...entry, 'lladdr', NOWHERE, 'nud', 'permanent')
}

function bridges(number: NetworkNumber): readonly [string, string] {
  return [`sbc${number}`, `sbn${number}`]
}

function exists(namespace: string): boolean {
  return ip('netns', 'list')
    .split('\n')
    .some(line => line.split(' ')[0] === namespace)
}

function ip(...args: readonly string[]): string {
  try {
    return execFileSync('ip', [...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
    })
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string }
    throw new SealbusError(
      'configuration',
      `ip ${args.join(' ')}: ${(stderr ?? '').trim() || message}; network namespaces need root, Linux and iproute2`,
      { cause },
    )
  }
}

function quietly(...args: readonly string[]): void {
  try {
    ip(...args)
  } catch {
    // it was not there
  }
}
