/** Several drivers as one, and what a driver can do. */
import { asError } from '../../src/errors.js'
import type { Action, Actions } from './actions.js'
import type { Driver } from './driver.js'

/** The names of what a driver can do. */
export function capabilities(driver: Driver): ReadonlySet<Action> {
  return new Set(Object.keys(driver.actions) as Action[])
}

/**
 * One driver from several over the same nodes: the last that can do something does it; all heal and close, the last first,
 * whatever becomes of the others. The first one's urls count. @throws RangeError when they disagree about the nodes' names
 */
export function composed(first: Driver, ...more: readonly Driver[]): Driver {
  const drivers = [first, ...more]
  for (const { kind, nodes } of more) {
    if (nodes.join() !== first.nodes.join())
      throw new RangeError(
        `driver ${kind}: expected the nodes of ${first.kind}, ${first.nodes.join(', ')}, got ${nodes.join(', ')}; the command driver takes their names from its configuration (nodes)`,
      )
  }
  return {
    kind: drivers.map(({ kind }) => kind).join('+'),
    nodes: first.nodes,
    url: node => first.url(node),
    actions: Object.assign({}, ...drivers.map(({ actions }) => actions)) as Partial<Actions>,
    heal: () => each(drivers, driver => driver.heal()),
    ...(first.version && { version: first.version }),
    close: () => each(drivers, async driver => await driver.close?.()),
  }
}

/** The last first. @throws Error with all that failed, once all have been tried */
async function each(drivers: readonly Driver[], run: (driver: Driver) => Promise<void>): Promise<void> {
  const failures: string[] = []
  for (const driver of drivers.toReversed())
    await run(driver).catch((error: unknown) => failures.push(`${driver.kind}: ${asError(error).message}`))
  if (failures.length > 0) throw new Error(failures.join('; '))
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
