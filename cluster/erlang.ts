/**
 * Asking running nodes: `rabbitmqctl` (a second or two, for it boots an Erlang machine each time) and `erl_call`
 * (milliseconds) for what is asked often. Both find the cookie in HOME, so it is in no argument that `ps` shows.
 */

import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { asError, SealbusError } from '../src/errors.js'
import type { RabbitmqPrograms } from './rabbitmq.js'

const LIMIT_MS = 60_000
const CONNECT_ATTEMPTS = 4
const CONNECT_PAUSE_MS = 100
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

/** Where to run these programs. */
export interface ErlangContext {
  readonly programs: RabbitmqPrograms
  /** Environment of the cluster: HOME with the cookie, epmd's port and address. */
  readonly env: Record<string, string>
  /** What goes before a program that talks to this node; nothing by default. */
  readonly prefix?: (node: string) => readonly string[]
}

/**
 * Runs `rabbitmqctl --quiet --node NODE ARGS…`.
 *
 * @returns what it wrote to its standard output
 * @throws {@link SealbusError} `broker-refused` with what it wrote to its standard error
 */
export function rabbitmqctl(context: ErlangContext, node: string, args: readonly string[]): Promise<string> {
  return run(context, node, [context.programs.ctl, '--quiet', '--node', node, ...args])
}

/**
 * Evaluates an Erlang expression on a node and returns its value by way of JSON: lists, maps with string or atom
 * keys, binaries (as strings), numbers and booleans. `E1, E2, E3` is a sequence; the last one counts.
 *
 * @throws {@link SealbusError} `broker-refused` when the node is not reached or the expression fails
 */
export async function evaluate(context: ErlangContext, node: string, expression: string): Promise<unknown> {
  const { erlCall } = context.programs
  const output =
    erlCall === undefined
      ? await rabbitmqctl(context, node, ['eval', asEncoded(expression)])
      : await patiently(() => run(context, node, [erlCall, '-n', node, '-e'], asEncoded(expression)))
  return decoded(node, output)
}

/** An expression whose value comes as JSON in Base64: for `rabbitmqctl eval` and `erl_call -e`. */
export function asEncoded(expression: string): string {
  return `binary_to_list(base64:encode(iolist_to_binary(rabbit_json:encode(begin ${expression} end)))).\n`
}

/**
 * The value that a node answered to {@link asEncoded}.
 * @throws {@link SealbusError} `broker-refused` with the answer, when it is an error
 */
export function decoded(node: string, output: string): unknown {
  // n.b. rabbitmqctl breaks a long text into several; an error quotes words, too, and is none
  const encoded = /^(?:\{ok, )?((?:"[A-Za-z0-9+/=]*"\s*)+)/.exec(output.trim())?.[1]?.replaceAll(/["\s]/g, '')
  if (encoded === undefined)
    throw new SealbusError('broker-refused', `${node} answered ${output.trim().slice(0, 500)}`)
  return JSON.parse(Buffer.from(encoded, 'base64').toString('utf8'))
}

/** n.b. erl_call waits little for the handshake of a busy node, and is refused while the node forgets its last call. */
async function patiently(call: () => Promise<string>): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      if (attempt === CONNECT_ATTEMPTS || !asError(error).message.includes('failed to connect')) throw error
      await sleep(CONNECT_PAUSE_MS * attempt)
    }
  }
}

/** An Erlang binary literal of any text, also of one that somebody else chose. */
export function erlangBinary(text: string): string {
  return `<<${[...Buffer.from(text, 'utf8')].join(',')}>>`
}

function run(
  { env, prefix }: ErlangContext,
  node: string,
  command: readonly string[],
  input = '',
): Promise<string> {
  const [program = '', ...args] = [...(prefix?.(node) ?? []), ...command]
  return new Promise((resolve, reject) => {
    const options = { env, timeout: LIMIT_MS, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' as const }
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout)
        return
      }
      const said = (stderr || stdout || error.message).trim().slice(0, 2_000)
      reject(
        new SealbusError('broker-refused', `${command[0]?.split('/').at(-1) ?? program} failed: ${said}`, {
          cause: error,
        }),
      )
    })
    child.stdin?.on('error', () => undefined) // it may have ended without reading
    child.stdin?.end(input)
  })
}
