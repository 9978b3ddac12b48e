/** One run of a script: which node it has drawn, and what its words for nodes and parties mean. */
import type { Action, Actions } from './drivers/actions.js'
import { actionOf } from './drivers/compose.js'
import type { LinkDriver } from './drivers/driver.js'
import type { Cast, Participant } from './plan.js'
import type { Stage } from './stage.js'

/** The nodes of a run, and what they are to it. */
export interface Nodes {
  /** Drawn by the seed. */
  readonly chosen: string
  /** Where leaders were put; the chosen one, or another. */
  readonly leader: string
  /** All but the chosen one, in an order drawn by the seed. */
  readonly others: readonly string[]
}

/** A script on its stage. */
export class Play {
  readonly stage: Stage
  readonly nodes: Nodes

  constructor(stage: Stage, nodes: Nodes) {
    this.stage = stage
    this.nodes = nodes
  }

  /** The same run with another chosen node. */
  choosing(chosen: string): Play {
    const others = this.stage.driver.nodes.filter(node => node !== chosen)
    return new Play(this.stage, { ...this.nodes, chosen, others })
  }

  /** An action of the driver. @throws Error `not injected: …` */
  act<A extends Action>(action: A): Actions[A] {
    return actionOf(this.stage.driver, action)
  }

  /** @throws Error when nothing stands between clients and nodes */
  get links(): LinkDriver {
    const { links } = this.stage
    if (links !== undefined) return links
    throw new Error('not injected: nothing stands between clients and nodes; run with --driver proxy')
  }

  /**
   * The nodes that a word stands for: `chosen`, `leader`, `others`, `other-1`, `other-2`, `all`, a number from 1, or a name.
   * @throws Error `not injected: …` for one that there is not
   */
  nodesOf(word: string): readonly string[] {
    const { chosen, leader, others } = this.nodes
    const all = this.stage.driver.nodes
    const [first, second] = others
    const known: Readonly<Record<string, readonly (string | undefined)[]>> = {
      ...{ chosen: [chosen], leader: [leader], others, all, 'other-1': [first], 'other-2': [second] },
    }
    const named = all.filter((node, i) => word === node || word === String(i + 1))
    const found = (known[word] ?? named).filter(node => node !== undefined)
    if (found.length > 0) return found
    throw new Error(`not injected: no node ${word}; the cluster has ${all.join(', ')}`)
  }

  /** Does something to each of the nodes at once. */
  async eachNode(word: string, run: (node: string) => Promise<void>): Promise<void> {
    await Promise.all(this.nodesOf(word).map(run))
  }

  /** The address of a party. @throws Error `not injected: …` */
  addressOf(role: string): string {
    return participantOf(this.stage.cast, role).address
  }
}

/** Who plays a role: `centre`, `steady-1`, `declaring-1`. @throws Error `not injected: …` for a role that nobody plays */
export function participantOf(cast: Cast, role: string): Participant {
  if (role === 'centre') return cast.centre
  const [, group = '', number = ''] = /^(steady|quiet|late|declaring)-(\d+)$/.exec(role) ?? []
  const found = group === '' ? undefined : cast[group as 'steady'][Number(number) - 1]
  if (found !== undefined) return found
  throw new Error(`not injected: nobody plays ${role}; there are centre, steady-1, quiet-1, late-1 and so on`)
}
