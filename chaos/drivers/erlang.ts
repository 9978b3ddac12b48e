/** Expressions on the nodes of a cluster: the one way in which operator actions reach a broker, whoever carries them there. */
import { erlangBinary } from '../../cluster/erlang.js'

/** Evaluates an Erlang expression on a node; the value comes by way of JSON. @throws Error when it fails */
export type Evaluate = (expression: string, node: string) => Promise<unknown>

/** Nodes and the way to them. */
export interface Shell {
  /** All of the cluster. */
  readonly nodes: readonly string[]
  readonly evaluate: Evaluate
  /** False for a node that would not answer (frozen, dead): it is not asked. Default: all may be asked. */
  readonly answers?: (node: string) => boolean
}

/** For operations that were done by us, in the broker's own log. */
export const ACTOR: string = '<<"sealbus chaos">>'

/** A binary literal. */
export const text: (given: string) => string = erlangBinary

/** `rabbit_misc:r(…)`: a queue or an exchange of a vhost. */
export function resource(vhost: string, kind: 'queue' | 'exchange', name: string): string {
  return `rabbit_misc:r(${text(vhost)}, ${kind}, ${text(name)})`
}

/** The nodes that may be asked. */
export function answering({ nodes, answers }: Shell): string[] {
  return nodes.filter(node => answers?.(node) ?? true)
}

/** A node on which RabbitMQ itself runs: in a minority it pauses while Erlang goes on. @throws Error when there is none */
export async function serving(shell: Shell): Promise<string> {
  const failures: string[] = []
  for (const node of answering(shell)) {
    try {
      if ((await shell.evaluate('rabbit:is_running()', node)) === true) return node
      failures.push(`${node} is not running`)
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new Error(`no node serves: ${failures.join('; ') || `none of ${shell.nodes.join(', ')} answers`}`)
}

/** An expression for its value, on a node that serves. */
export async function ask(shell: Shell, expression: string): Promise<unknown> {
  return await shell.evaluate(expression, await serving(shell))
}

/** An expression for its effect, on a node that serves or on the one named. @throws Error when it fails */
export async function order(shell: Shell, expression: string, node?: string): Promise<void> {
  await shell.evaluate(`${expression}, <<"done">>`, node ?? (await serving(shell)))
}
