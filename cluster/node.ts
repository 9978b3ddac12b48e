/** One RabbitMQ node of a cluster: its files, its process, its signals. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SealbusError } from '../src/errors.js'
import { nodeConfig } from './config.js'
import { type ErlangContext, evaluate } from './erlang.js'
import { type NodeNetwork, within } from './network.js'
import {
  isAlive,
  isStopped,
  livingProcess,
  type ProcessId,
  signal,
  startDetached,
  waitForExit,
} from './process.js'
import { type ClusterPaths, type ClusterState, type NodePaths, type NodeState, nodePaths } from './state.js'

const START_LIMIT_MS = 120_000
const STOP_LIMIT_MS = 60_000
const KILL_LIMIT_MS = 10_000
const POLL_MS = 150

/** Two schedulers and no busy waiting: several nodes share a small machine. */
const ERLANG_ARGUMENTS = '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel net_ticktime 8'

/** A node that can be ended in every way that a power cut, an operator or a stuck machine would. */
export class ClusterNode {
  readonly name: string
  /** AMQP over TLS. */
  readonly port: number
  /** Where clients find it: 127.0.0.1, or an address of its own. */
  readonly host: string
  readonly #state: NodeState
  readonly #paths: NodePaths
  readonly #context: ErlangContext

  constructor(node: NodeState, paths: ClusterPaths, context: ErlangContext) {
    this.name = node.name
    this.port = node.port
    this.host = node.network?.clientAddress ?? '127.0.0.1'
    this.#state = node
    this.#paths = nodePaths(paths, node)
    this.#context = context
  }

  /** The node's own network namespace, where it has one. */
  get network(): NodeNetwork | undefined {
    return this.#state.network
  }

  get url(): string {
    return `amqps://${this.host}:${this.port}`
  }

  /** The Erlang machine's process id; undefined while the node is down. */
  get pid(): number | undefined {
    return this.#process()?.pid
  }

  /** Frozen by SIGSTOP: it runs, and does nothing. */
  get isPaused(): boolean {
    const running = this.#process()
    return running !== undefined && isStopped(running)
  }

  /** The last lines of the node's own log and of what it printed. */
  logTail(lines = 15): string {
    const files = [join(this.#paths.log, 'node.log'), this.#paths.output]
    const text = files.map(file => (existsSync(file) ? readFileSync(file, 'utf8') : '')).join('\n')
    return text
      .split('\n')
      .filter(line => line.trim() !== '')
      .slice(-lines)
      .join('\n')
  }

  /** Writes configuration and plug-ins; the data folder is left to the node, which wants to make it itself. */
  prepare(paths: ClusterPaths, state: ClusterState): void {
    mkdirSync(this.#paths.log, { recursive: true })
    const tls = (file: string): string => join(paths.tls, file)
    const config = nodeConfig({
      port: this.port,
      host: this.host,
      clientCaFile: tls('client-ca.crt'),
      serverCertFile: tls('server.crt'),
      serverKeyFile: tls('server.key'),
      bootDefinitionsFile: paths.bootDefinitions,
      members: state.nodes.map(node => node.name),
    })
    writeFileSync(this.#paths.config, config)
    writeFileSync(this.#paths.plugins, '[rabbitmq_auth_mechanism_ssl,rabbitmq_consistent_hash_exchange].\n')
  }

  /** Starts the node if it is down, and waits until it listens and is a running member of its cluster. */
  async start(): Promise<void> {
    await this.launch()
    await this.waitUntilReady()
  }

  /** Starts the process only. */
  async launch(): Promise<void> {
    if (this.#process() !== undefined) return
    const { dir, output, pid } = this.#paths
    const [program, ...args] = [...within(this.network), this.#context.programs.server]
    await startDetached(program, args, {
      env: this.#environment(),
      cwd: dir,
      logFile: output,
      pidFile: pid,
    })
  }

  /**
   * n.b. a node says "running" before it listens, and listens before the others count it as a member: ask for both.
   *
   * @throws {@link SealbusError} `timeout` or `configuration` with the end of the node's log
   */
  async waitUntilReady(): Promise<void> {
    const deadline = Date.now() + START_LIMIT_MS
    while (!((await this.listens()) && (await this.#isRunning()))) {
      if (this.#process() === undefined) throw this.#failure('configuration', 'ended while it started')
      if (Date.now() > deadline)
        throw this.#failure('timeout', `was not ready after ${START_LIMIT_MS / 1000} s`)
      await sleep(POLL_MS)
    }
  }

  /** True when something accepts connections on the node's port. */
  listens(): Promise<boolean> {
    return new Promise(resolve => {
      const socket = connect({ port: this.port, host: this.host })
      const done = (open: boolean) => () => {
        socket.destroy()
        resolve(open)
      }
      socket.once('connect', done(true)).once('error', done(false)).setTimeout(2_000, done(false))
    })
  }

  /** SIGKILL to the Erlang machine: a power cut. Resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL', KILL_LIMIT_MS)
  }

  /** SIGTERM: an orderly stop, as an operator's. Resolves when the process is gone. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM', STOP_LIMIT_MS)
  }

  /** SIGSTOP: frozen, with all its connections open. */
  pause(): void {
    this.#signal('SIGSTOP')
  }

  /** SIGCONT. */
  resume(): void {
    this.#signal('SIGCONT')
  }

  async #end(name: 'SIGKILL' | 'SIGTERM', limitMs: number): Promise<void> {
    const running = this.#process()
    if (running === undefined) return
    signal(running, name)
    if (await waitForExit(running, limitMs)) return
    throw this.#failure('timeout', `still runs ${limitMs / 1000} s after ${name} (process ${running.pid})`)
  }

  #signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    const running = this.#process()
    if (running !== undefined && isAlive(running)) signal(running, name)
  }

  #process(): ProcessId | undefined {
    return livingProcess(this.#paths.pid)
  }

  async #isRunning(): Promise<boolean> {
    try {
      return (await evaluate(this.#context, this.name, 'rabbit:is_running()')) === true
    } catch {
      return false
    }
  }

  #failure(code: 'configuration' | 'timeout', what: string): SealbusError {
    return new SealbusError(code, `node ${this.name} ${what}. The end of its log:\n${this.logTail()}`)
  }

  #environment(): Record<string, string> {
    const { dir, config, plugins, log } = this.#paths
    const address = this.network?.nodeAddress ?? '127.0.0.1' // nodes talk to each other there, and nowhere else
    return {
      ...this.#context.env,
      detached: '1', // makes the start script become the Erlang machine instead of waiting for it: its pid is ours
      RABBITMQ_NODENAME: this.name,
      RABBITMQ_DIST_PORT: String(this.#state.distributionPort),
      RABBITMQ_MNESIA_BASE: dir,
      RABBITMQ_MNESIA_DIR: join(dir, 'data'), // must neither exist at first nor equal the base
      RABBITMQ_LOG_BASE: log,
      RABBITMQ_CONFIG_FILE: config,
      RABBITMQ_CONFIG_FILES: join(dir, 'conf.d'),
      RABBITMQ_ADVANCED_CONFIG_FILE: join(dir, 'advanced.config'),
      RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'generated'),
      RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
      RABBITMQ_PLUGINS_EXPAND_DIR: join(dir, 'plugins'),
      RABBITMQ_FEATURE_FLAGS_FILE: join(dir, 'feature_flags'),
      RABBITMQ_PID_FILE: join(dir, 'rabbitmq.pid'),
      RABBITMQ_SCHEDULER_BIND_TYPE: 'u', // unbound: else all nodes sit on the same core
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: `${ERLANG_ARGUMENTS} -kernel inet_dist_use_interface {${address.replaceAll('.', ',')}}`,
      ...(this.network === undefined ? {} : { RABBITMQ_USE_LONGNAME: 'true', ERL_EPMD_ADDRESS: address }),
    }
  }
}
