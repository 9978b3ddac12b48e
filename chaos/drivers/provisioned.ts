/**
 * What was provisioned, remembered before the first thing of it is taken away, and brought back: the broker's own
 * definitions. They stay on the nodes (each has them, in a persistent term), so that no password hash comes here, and
 * one who comes after a killed run can still restore.
 */
import { ACTOR, answering, ask, type Evaluate, order, type Shell, text } from './erlang.js'

const DEFINITIONS = 'sealbus_chaos_definitions'
const REPLACED = 'sealbus_chaos_replaced'

/** Remembers, and restores. */
export class Provisioned {
  readonly #shell: Shell
  readonly #vhost: string

  constructor(shell: Shell, vhost: string) {
    this.#shell = shell
    this.#vhost = vhost
  }

  /** Must be called before something is taken away. @param replaced - a queue that will have other arguments */
  async remember(replaced?: string): Promise<void> {
    const take = `case persistent_term:get(${DEFINITIONS}, none) of none -> iolist_to_binary(rabbit_json:encode(rabbit_definitions:all_definitions())); Old -> Old end`
    const names = `lists:usort(${replaced === undefined ? '[]' : `[${text(replaced)}]`} ++ persistent_term:get(${REPLACED}, []))`
    const everywhere = (key: string, value: string): string =>
      `rpc:multicall(rabbit_nodes:all_running(), persistent_term, put, [${key}, ${value}])`
    await order(
      this.#shell,
      `Definitions = ${take}, Names = ${names}, ${everywhere(DEFINITIONS, 'Definitions')}, ${everywhere(REPLACED, 'Names')}`,
    )
  }

  /** Brings everything back; nothing to do where nothing was remembered. @throws Error when the broker refuses */
  async restore(): Promise<void> {
    const { evaluate } = this.#shell
    const keeper = await this.#keeper(evaluate)
    if (keeper === undefined) return
    const found = `rabbit_amqqueue:lookup(rabbit_misc:r(${text(this.#vhost)}, queue, N))`
    const drop = `[case ${found} of {ok, Q} -> {ok, _} = rabbit_amqqueue:delete(Q, false, false, ${ACTOR}); _ -> ok end || N <- persistent_term:get(${REPLACED}, [])]`
    await order(
      this.#shell,
      `${drop}, ok = rabbit_definitions:import_raw(persistent_term:get(${DEFINITIONS}))`,
      keeper,
    )
    const forget = `[rpc:multicall(rabbit_nodes:all_running(), persistent_term, erase, [K]) || K <- [${DEFINITIONS}, ${REPLACED}]]`
    await order(this.#shell, forget, keeper)
  }

  /** A node that serves and remembers. */
  async #keeper(evaluate: Evaluate): Promise<string | undefined> {
    for (const node of answering(this.#shell)) {
      const remembers = `rabbit:is_running() andalso persistent_term:get(${DEFINITIONS}, none) =/= none`
      const found = await evaluate(remembers, node).catch(() => false)
      if (found === true) return node
    }
    await ask(this.#shell, 'true') // somebody must be there to say that there is nothing
    return undefined
  }
}
