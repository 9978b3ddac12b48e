/** `sealbus cluster …`: a development cluster of real RabbitMQ nodes on loopback. A thin shell over cluster/. */

import { parseArgs } from 'node:util'
import {
  type Cluster,
  type ClusterNode,
  defaultFolder,
  openCluster,
  ownPki,
  startProvisionedCluster,
} from '../cluster/index.js'
import { requireRabbitmq } from '../cluster/rabbitmq.js'
import { readState } from '../cluster/state.js'
import { readPassphrase } from '../pki/index.js'
import { asError, isSealbusError } from '../src/errors.js'
import { EXIT } from './usage.js'

const HELP = `usage: sealbus cluster COMMAND [--name NAME] [--dir DIR]

  up [--nodes 3] [--pki D] [--passphrase-file FILE]
            starts the nodes that do not run, lets in the devices of the PKI folder D, and writes the nodes' URLs into
            their config.json. Again with --pki D after devices were added or revoked: brings the running nodes up to date.
            Without --pki the cluster makes a domain of its own in its folder
  status    every node with its process and its URL; exit code 1 unless all of them run
  kill N    SIGKILL to node N (1, 2, … or rmq1, rmq2, …): a power cut
  stop N    SIGTERM: an orderly stop; without N all nodes. Their data stays
  start N   starts a node that is down, and waits until it has joined; without N all that are down
  down      ends all nodes and deletes their data; certificates and ports are kept for the next up

  --name NAME   several clusters live side by side, by name (default dev)
  --dir DIR     the cluster's folder (default .sealbus/clusters/NAME below the current folder)

RabbitMQ has to be installed; on Debian: apt-get install --no-install-recommends rabbitmq-server
`

const OPTIONS = {
  nodes: { type: 'string' },
  pki: { type: 'string' },
  'passphrase-file': { type: 'string' },
  name: { type: 'string', default: 'dev' },
  dir: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

/** What was given on the command line, checked. */
interface Request {
  readonly dir: string
  readonly name: string
  readonly nodes: number | undefined
  readonly pki: string | undefined
  readonly passphraseFile: string | undefined
  /** Nodes that were named. */
  readonly which: readonly string[]
}

const COMMANDS: Readonly<Record<string, (request: Request) => Promise<number>>> = {
  up,
  status,
  kill,
  stop,
  start,
  down,
}

/**
 * Runs one command.
 *
 * @param argv - what follows `sealbus cluster`
 * @returns the exit code
 */
export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true })
  const [name = '', ...which] = positionals
  if (values.help || name === 'help' || name === '') return say(HELP, 0)
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined)
    return complain(`sealbus cluster: no command ${JSON.stringify(name)}\n\n${HELP}`, EXIT.usage)
  const stray = ['kill', 'stop', 'start'].includes(name) ? undefined : which[0]
  if (stray !== undefined)
    return complain(`sealbus cluster ${name}: unexpected ${JSON.stringify(stray)}\n\n${HELP}`, EXIT.usage)
  if (values.nodes !== undefined && !/^[1-7]$/.test(values.nodes)) {
    return complain(`nodes must be an integer from 1 to 7, not ${values.nodes}`, EXIT.usage)
  }
  const request: Request = {
    dir: values.dir ?? defaultFolder(values.name),
    name: values.name,
    nodes: values.nodes === undefined ? undefined : Number(values.nodes),
    pki: values.pki,
    passphraseFile: values['passphrase-file'],
    which,
  }
  return await command(request)
}

async function up(request: Request): Promise<number> {
  requireRabbitmq() // before anything is made
  const started = Date.now()
  const before = readState(request.dir)
  let steps = 0
  const cluster = await startProvisionedCluster({
    dir: request.dir,
    name: request.name,
    ...(request.nodes === undefined ? {} : { nodes: request.nodes }),
    ...(await pkiOf(request, before?.pki)),
    onProgress: line => {
      steps++
      tell(`${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s  ${line}`)
    },
  })
  if (steps === 0) tell(`cluster ${cluster.name} runs already and is up to date: nothing to do`)
  return say(`${cluster.urls.join('\n')}\n`, 0)
}

async function pkiOf(
  request: Request,
  known: string | undefined,
): Promise<{ pki: string; passphrase: () => Promise<string> }> {
  const named = request.pki ?? (known === undefined || known.startsWith(request.dir) ? undefined : known)
  if (named !== undefined)
    return { pki: named, passphrase: () => readPassphrase(fileOption(request.passphraseFile)) }
  const { pki, passphraseFile } = await ownPki(request.dir)
  if (known === undefined) {
    tell(
      `no --pki: this cluster lets in the devices of ${pki}\n         add some: sealbus pki issue NAME --role ROLE --dir ${pki} --passphrase-file ${passphraseFile}`,
    )
  }
  return { pki, passphrase: () => readPassphrase({ file: passphraseFile }) }
}

function fileOption(file: string | undefined): { file?: string } {
  return file === undefined ? {} : { file }
}

async function status(request: Request): Promise<number> {
  const cluster = openCluster(request.dir)
  const members = await membersOf(cluster)
  for (const node of cluster.nodes) {
    const process = node.pid === undefined ? 'down' : `process ${node.pid}`
    const joined = members.includes(node.name)
      ? 'in the cluster'
      : node.pid === undefined
        ? ''
        : 'not in the cluster'
    say(`${node.name}  ${process.padEnd(16)}${joined.padEnd(20)}${node.url}\n`, 0)
  }
  return members.length === cluster.nodes.length ? 0 : 1
}

/** Nodes that see each other; none where no node answers. */
async function membersOf(cluster: Cluster): Promise<readonly string[]> {
  try {
    return await cluster.runningNodes()
  } catch (error) {
    if (isSealbusError(error, 'broker-refused')) return []
    throw error
  }
}

async function kill(request: Request): Promise<number> {
  if (request.which.length === 0)
    return complain('sealbus cluster kill: name a node, e.g. sealbus cluster kill 1', EXIT.usage)
  return await eachNode(request, 'killed', node => node.kill())
}

async function stop(request: Request): Promise<number> {
  return await eachNode(request, 'stopped', node => node.stop())
}

/** n.b. together, not one after the other: a node waits in its start for those that were up when it went down. */
async function start(request: Request): Promise<number> {
  return await eachNode(request, 'listens and has joined', node => node.start())
}

async function eachNode(
  request: Request,
  done: string,
  action: (node: ClusterNode) => Promise<void>,
): Promise<number> {
  const cluster = openCluster(request.dir)
  const nodes = request.which.length === 0 ? cluster.nodes : request.which.map(which => cluster.node(which))
  const results = await Promise.allSettled(
    nodes.map(async node => {
      await action(node)
      say(`${node.name} ${done}\n`, 0)
    }),
  )
  const failures = results.filter(result => result.status === 'rejected')
  for (const failure of failures) complain(asError(failure.reason).message, EXIT.failed)
  return failures.length === 0 ? 0 : 1
}

async function down(request: Request): Promise<number> {
  if (readState(request.dir) === undefined) return say(`no cluster in ${request.dir}: nothing to do\n`, 0)
  const cluster = openCluster(request.dir)
  await cluster.down()
  return say(`cluster ${cluster.name} is down; its data is deleted\n`, 0)
}

function say(text: string, code: number): number {
  process.stdout.write(text)
  return code
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}

function complain(text: string, code: number): number {
  process.stderr.write(`${text}\n`)
  return code
}
