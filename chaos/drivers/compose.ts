/** Several drivers as one, and what a driver can do. */
import type { Action, Actions } from './actions.js'
import type { Driver } from './driver.js'

/** The names of what a driver can do. */
export function capabilities(driver: Driver): ReadonlySet<Action> {
  return new Set(Object.keys(driver.actions) as Action[])
}

/**
 * One driver from several over the same nodes: the last that can do something does it; all heal, the last first.
 * The first one's nodes and urls count. @throws RangeError when they disagree about the number of nodes
 */
export function composed(first: Driver, ...more: readonly Driver[]): Driver {
  const drivers = [first, ...more]
  for (const { kind, nodes } of more) {
    if (nodes.length !== first.nodes.length)
      throw new RangeError(
        `driver ${kind}: expected the ${first.nodes.length} nodes of ${first.kind} (${first.nodes.join(', ')}), got ${nodes.length}`,
      )
  }
  return {
    kind: drivers.map(({ kind }) => kind).join('+'),
    nodes: first.nodes,
    url: node => first.url(node),
    actions: Object.assign({}, ...drivers.map(({ actions }) => actions)) as Partial<Actions>,
    async heal() {
      for (const driver of drivers.toReversed()) await driver.heal()
    },
    ...(first.version && { version: first.version }),
    async close() {
      for (const driver of drivers.toReversed()) await driver.close?.()
    },
  }
}

/**
 * One action of a driver.
 * @throws Error `not injected: …` that names the action, the driver and what it can do instead
 */
export function actionOf<A extends Action>(driver: Driver, action: A): Actions[A] {
  const found = driver.actions[action]
  if (found !== undefined) return found
  const can = [...capabilities(driver)].join(', ') || 'nothing'
  throw new Error(
    `not injected: driver ${driver.kind} cannot ${action}; it can ${can}. Choose another with --driver, or give the command driver a command for it`,
  )
}
