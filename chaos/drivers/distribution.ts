/**
 * A partition without any right over the network: nodes that must not see each other are given a wrong cookie for each
 * other, and the connection between them is closed. They learn of it at once (`nodedown`), where a cut cable is noticed only
 * after `net_ticktime`: for that there is drivers/netns.ts. Clients are not touched.
 */
import { order, type Shell } from './erlang.js'

/** n.b. each side has its own, or the two would agree again */
const WRONG_COOKIE = 'list_to_atom("sealbus_chaos_cut_" ++ atom_to_list(node()))'

type Pair = readonly [string, string]

/** All pairs of nodes that share no group. @throws RangeError for a node that is in none, or that there is not */
export function separated(nodes: readonly string[], groups: readonly (readonly string[])[]): Pair[] {
  const named = new Set(groups.flat())
  const odd = [...named].find(name => !nodes.includes(name)) ?? nodes.find(name => !named.has(name))
  if (odd !== undefined)
    throw new RangeError(`partition: expected groups that name each of ${nodes.join(', ')}; see ${odd}`)
  const together = (a: string, b: string): boolean =>
    groups.some(group => group.includes(a) && group.includes(b))
  return nodes.flatMap((a, i) => nodes.slice(i + 1).flatMap(b => (together(a, b) ? [] : [[a, b] as const])))
}

/** Cuts what shares no group, on both sides; what does is connected again. */
export async function disconnected(shell: Shell, groups: readonly (readonly string[])[]): Promise<void> {
  const pairs = separated(shell.nodes, groups)
  const from = (node: string): string[] =>
    pairs.flatMap(([a, b]) => (a === node ? [b] : b === node ? [a] : []))
  await reconnected(shell)
  for (const node of shell.nodes) await order(shell, cookies(from(node), WRONG_COOKIE), node)
  await cut(shell, pairs)
}

/**
 * Closes connections, at once for all pairs of a node: of two that see a third go at different moments RabbitMQ takes it for
 * a partial partition, and pauses until the whole cluster is back.
 */
async function cut(shell: Shell, pairs: readonly Pair[]): Promise<void> {
  const count = (node: string): number => pairs.filter(pair => pair.includes(node)).length
  const [node] = [...shell.nodes].sort((a, b) => count(b) - count(a))
  if (node === undefined || pairs.length === 0) return
  const others = pairs.flatMap(([a, b]) => (a === node ? [b] : b === node ? [a] : []))
  await order(shell, closed(others), node)
  await cut(
    shell,
    pairs.filter(pair => !pair.includes(node)),
  )
}

/** All nodes let each other in again; they find each other by themselves. n.b. one that is down has forgotten it anyway */
export async function reconnected(shell: Shell): Promise<void> {
  const asked = shell.nodes.filter(node => shell.answers?.(node) !== false)
  const all = asked.map(async node => {
    const others = shell.nodes.filter(other => other !== node)
    await order(shell, cookies(others, 'erlang:get_cookie()'), node)
  })
  const [failed] = (await Promise.allSettled(all)).filter(each => each.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

function cookies(others: readonly string[], cookie: string): string {
  return `[erlang:set_cookie(N, ${cookie}) || N <- ${atoms(others)}]`
}

function closed(others: readonly string[]): string {
  return `[erlang:disconnect_node(N) || N <- ${atoms(others)}], false = lists:any(fun(N) -> lists:member(N, nodes()) end, ${atoms(others)})`
}

function atoms(names: readonly string[]): string {
  return `[${names.map(name => `'${name}'`).join(', ')}]`
}
