/** All faults that can be injected, in the order of docs/DELIVERY.md. */
import type { Scenario } from '../scenario.js'
import { nodeFaults } from './nodes.js'
import { operatorFaults } from './operator.js'
import { resetFaults } from './resets.js'

export const scenarios: readonly Scenario[] = [...nodeFaults, ...resetFaults, ...operatorFaults]

/** Names of rows with sub-cases. */
export const ROW_NAMES: Readonly<Record<number, string>> = {
  4: 'SIGTERM a node; drain and revive',
  10: 'reset at a random byte, in handshake, channel open, declare, consume',
}

/** The row of the table that a scenario belongs to: `4` for `4a`. */
export function rowOf(id: string): number {
  return Number.parseInt(id, 10)
}

/**
 * Scenarios by row or sub-case: `4` means all of 4, `4b` only that one.
 * @throws RangeError for an id that nothing has
 */
export function selectScenarios(ids: readonly string[]): Scenario[] {
  const chosen = ids.flatMap(id => {
    const found = scenarios.filter(scenario => scenario.id === id || String(rowOf(scenario.id)) === id)
    if (found.length === 0) {
      const known = scenarios.map(scenario => scenario.id).join(', ')
      throw new RangeError(`no fault ${id}; there are ${known} (a whole row by its number)`)
    }
    return found
  })
  return [...new Set(chosen)]
}
