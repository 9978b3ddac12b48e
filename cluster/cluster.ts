/** A running cluster: its nodes, and the questions and orders that an operator has for it. */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { SealbusError } from '../src/errors.js'
import { epmdPidFiles } from './epmd.js'
import { type ErlangContext, erlangBinary, evaluate, rabbitmqctl } from './erlang.js'
import { removeNetwork } from './network.js'
import { ClusterNode } from './node.js'
import type { BrokerTls } from './options.js'
import { releasePorts } from './ports.js'
import { livingProcess, signal } from './process.js'
import { copyTls } from './set-up.js'
import { type ClusterPaths, type ClusterState, clusterPaths } from './state.js'

/** The vhost of every sealbus cluster. */
export const VHOST = 'sealbus'

export class Cluster {
  /** For clients: `amqps://127.0.0.1:PORT`, one for each node. */
  readonly urls: readonly string[]
  readonly nodes: readonly ClusterNode[]
  readonly name: string
  /** The cluster's folder, absolute. */
  readonly dir: string
  readonly #paths: ClusterPaths
  readonly #state: ClusterState
  readonly #context: ErlangContext
  #version: string | undefined

  constructor(dir: string, state: ClusterState, context: ErlangContext) {
    this.#paths = clusterPaths(dir)
    this.#state = state
    this.#context = context
    this.dir = this.#paths.dir
    this.name = state.name
    this.urls = state.urls
    this.nodes = state.nodes.map(node => new ClusterNode(node, this.#paths, context))
  }

  /** A node by its number (1 is the first), short or full name. @throws RangeError */
  node(which: number | string): ClusterNode {
    const wanted = String(which)
    const found = this.nodes.find((node, i) =>
      [String(i + 1), node.name, node.name.split('@')[0]].includes(wanted),
    )
    if (found !== undefined) return found
    throw new RangeError(`no node ${wanted} in cluster ${this.name}: it has 1 to ${this.nodes.length}`)
  }

  /** RabbitMQ's version, e.g. `3.10.8`. */
  async version(): Promise<string> {
    this.#version ??= String(await this.evaluate('list_to_binary(rabbit_misc:version())'))
    return this.#version
  }

  /** `rabbitmqctl ARGS…` on a living node; about two seconds. @returns its standard output */
  async ctl(args: readonly string[]): Promise<string> {
    return await rabbitmqctl(this.#context, this.#livingNode().name, args)
  }

  /**
   * An Erlang expression on a living node (or on the one named), within milliseconds; the value comes as JSON.
   * Binaries are strings, so write `<<"text">>` for what should come out as text.
   */
  async evaluate(expression: string, node?: ClusterNode): Promise<unknown> {
    return await evaluate(this.#context, (node ?? this.#livingNode()).name, expression)
  }

  /** The node that leads a queue; undefined while it has no leader. */
  async leaderOf(queue: string): Promise<ClusterNode | undefined> {
    const name = await this.evaluate(leaderExpression(queue))
    return this.nodes.find(node => node.name === name)
  }

  /** Names of the nodes that see each other, as a living node sees it. */
  async runningNodes(): Promise<string[]> {
    return (await this.evaluate('rabbit_nodes:all_running()')) as string[]
  }

  /** Closes every client connection of the whole cluster, as an operator would. @returns how many there were */
  async closeAllConnections(reason: string): Promise<number> {
    const close = `rabbit_networking:close_connection(P, ${erlangBinary(reason)})`
    return Number(await this.evaluate(`L = rabbit_networking:connections(), [${close} || P <- L], length(L)`))
  }

  /** `rabbitmqctl import_definitions FILE`: adds and changes, deletes nothing. */
  async importDefinitions(file: string): Promise<void> {
    // n.b. rabbitmqctl wants a host name with a dot where nodes have long names, and a machine need not have one
    if (this.#state.network === undefined) await this.ctl(['import_definitions', file])
    else
      await this.evaluate(
        `{ok, B} = file:read_file(${erlangBinary(file)}), ok = rabbit_definitions:import_raw(B), true`,
      )
  }

  /** Running nodes serve this certificate from the next handshake on; connections that are there go on. */
  async replaceCertificate(tls: BrokerTls): Promise<void> {
    copyTls(this.#paths, tls)
    const running = this.nodes.filter(node => node.pid !== undefined)
    await Promise.all(running.map(node => this.evaluate('ssl:clear_pem_cache(), <<"done">>', node)))
  }

  /** Deletes a user; the broker closes the user's connections. */
  async deleteUser(user: string): Promise<void> {
    await this.ctl(['delete_user', user])
  }

  /** Every user's name. */
  async users(): Promise<string[]> {
    return (await this.evaluate(
      '[rabbit_misc:pget(user, U) || U <- rabbit_auth_backend_internal:list_users()]',
    )) as string[]
  }

  /** Ends all nodes at once and deletes their data. Certificates stay, and so do the ports for the next start. */
  async down(): Promise<void> {
    await Promise.all(this.nodes.map(node => node.kill()))
    for (const pidFile of epmdPidFiles(this.#paths, this.#state)) {
      const epmd = livingProcess(pidFile)
      if (epmd !== undefined) signal(epmd, 'SIGKILL')
      rmSync(pidFile, { force: true })
    }
    for (const gone of ['nodes', 'home', 'epmd.log']) {
      rmSync(join(this.dir, gone), { recursive: true, force: true, maxRetries: 3 })
    }
    rmSync(this.#paths.stateFile, { force: true })
    if (this.#state.network !== undefined) removeNetwork(this.#state.network, this.nodes.length)
    releasePorts(this.#state.portBlock)
  }

  #livingNode(): ClusterNode {
    const living = this.nodes.find(node => node.pid !== undefined)
    if (living !== undefined) return living
    throw new SealbusError(
      'broker-refused',
      `no node of cluster ${this.name} runs: start one (sealbus cluster start)`,
    )
  }
}

/** A quorum queue's leader is known to Raft; a classic queue lives where its process is. */
function leaderExpression(queue: string): string {
  const name = `rabbit_misc:r(${erlangBinary(VHOST)}, queue, ${erlangBinary(queue)})`
  return (
    `case rabbit_amqqueue:lookup(${name}) of {error, _} -> <<>>; {ok, Q} -> case amqqueue:get_pid(Q) of ` +
    '{Ra, _} -> case ra:members({Ra, hd(rabbit_nodes:all_running())}, 2000) of {ok, _, {_, N}} -> N; _ -> <<>> end; ' +
    'P when is_pid(P) -> node(P); _ -> <<>> end end'
  )
}
