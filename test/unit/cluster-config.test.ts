import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { deployFolder, nodeConfig } from '../../cluster/config.js'

const SETTINGS = {
  port: 20_001,
  clientCaFile: '/c/client-ca.crt',
  serverCertFile: '/c/server.crt',
  serverKeyFile: '/c/server.key',
  bootDefinitionsFile: '/c/boot.json',
  members: ['rmq1@localhost', 'rmq2@localhost'],
}

/** `key = value` lines as a map. */
function parse(text: string): Map<string, string> {
  const lines = text.split('\n').map(line => /^([^#\s]+) = (.*)$/.exec(line))
  return new Map(lines.flatMap(match => (match === null ? [] : [[match[1] ?? '', match[2] ?? '']])))
}

test('a node has its own port on loopback, its own files and the members that it was given', () => {
  const config = parse(nodeConfig(SETTINGS))
  expect(config.get('listeners.ssl.default')).toBe('127.0.0.1:20001')
  expect(config.get('ssl_options.cacertfile')).toBe('/c/client-ca.crt')
  expect(config.get('ssl_options.certfile')).toBe('/c/server.crt')
  expect(config.get('ssl_options.keyfile')).toBe('/c/server.key')
  const members = [...config].filter(([key]) => key.startsWith('cluster_formation.classic_config.nodes.'))
  expect(members.map(([, name]) => name)).toEqual(['rmq1@localhost', 'rmq2@localhost'])
})

test('what the file for Docker says about TLS, login and partitions holds for the nodes here', () => {
  const [here, docker] = [
    nodeConfig(SETTINGS),
    readFileSync(join(deployFolder(), 'rabbitmq.conf'), 'utf8'),
  ].map(parse)
  for (const key of [
    'listeners.tcp',
    'ssl_options.verify',
    'ssl_options.fail_if_no_peer_cert',
    'ssl_options.versions.1',
    'ssl_options.versions.2',
    'auth_mechanisms.1',
    'ssl_cert_login_from',
    'cluster_partition_handling',
    'net_ticktime',
  ]) {
    expect(here?.get(key), key).toBeDefined()
    expect(here?.get(key), key).toBe(docker?.get(key))
  }
  expect(here?.has('auth_mechanisms.2')).toBe(false)
})

test('the plug-ins of the file for Docker are those of the nodes here', () => {
  expect(readFileSync(join(deployFolder(), 'enabled_plugins'), 'utf8')).toBe(
    '[rabbitmq_auth_mechanism_ssl,rabbitmq_consistent_hash_exchange].\n',
  )
})
