/**
 * One node's configuration, made from `deploy/rabbitmq.conf`: the file that people with Docker use as it stands.
 * Values are put in place by key, so what is written there about TLS, users and partitions holds here too.
 */

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What differs from node to node and from machine to machine. */
export interface NodeSettings {
  /** Port for AMQP over TLS. */
  readonly port: number
  /** Address that it listens on. Default 127.0.0.1. */
  readonly host?: string
  /** Roots that client certificates are checked against. */
  readonly clientCaFile: string
  readonly serverCertFile: string
  readonly serverKeyFile: string
  /** A definitions file that is loaded before the node serves anybody; it names the vhost only. */
  readonly bootDefinitionsFile: string
  /** Erlang names of all nodes of the cluster, e.g. `rmq1@localhost`. */
  readonly members: readonly string[]
}

/** The folder `deploy/` of this package, from the sources as well as from `dist/`. */
export function deployFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder)
  return join(folder, 'deploy')
}

/** The text of a node's `rabbitmq.conf`. */
export function nodeConfig(settings: NodeSettings): string {
  const template = readFileSync(join(deployFolder(), 'rabbitmq.conf'), 'utf8')
  const kept = template
    .split('\n')
    .filter(line => !line.startsWith('cluster_formation.classic_config.nodes.'))
  const members = settings.members.map(
    (name, i) => `cluster_formation.classic_config.nodes.${i + 1} = ${name}`,
  )
  return `${replaceValues(kept, values(settings)).join('\n')}\n${members.join('\n')}\n`
}

function values(settings: NodeSettings): Map<string, string> {
  return new Map([
    ['listeners.ssl.default', `${settings.host ?? '127.0.0.1'}:${settings.port}`],
    ['ssl_options.cacertfile', settings.clientCaFile],
    ['ssl_options.certfile', settings.serverCertFile],
    ['ssl_options.keyfile', settings.serverKeyFile],
    ['load_definitions', settings.bootDefinitionsFile],
    ['log.console', 'false'],
    ['log.file', 'node.log'], // in the node's log folder
  ])
}

/** @throws Error when the template lacks a key: then it and this file have drifted apart */
function replaceValues(lines: readonly string[], wanted: Map<string, string>): string[] {
  const left = new Map(wanted)
  const replaced = lines.map(line => {
    const key = /^([a-z_.0-9]+) = /.exec(line)?.[1]
    const value = key === undefined ? undefined : left.get(key)
    if (key === undefined || value === undefined) return line
    left.delete(key)
    return `${key} = ${value}`
  })
  if (left.size > 0) throw new Error(`deploy/rabbitmq.conf has no line for ${[...left.keys()].join(', ')}`)
  return replaced
}
