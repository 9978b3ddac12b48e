/** The judge of a soak: I1–I5 from ledgers that are too long to be had at once, and what grew. */
import { nothingBroke, type Terms, type Violation } from './invariants.js'
import type { Entry, Fatal } from './ledger.js'
import type { NamedMessages } from './report-model.js'
import { type Growth, GrowthMaker, type GrowthTime, growthLine } from './soak-growth.js'

const WORDS: Readonly<Record<NamedMessages['what'], readonly [Violation['invariant'], string]>> = {
  lost: ['I1', 'resolved, but neither handled nor in a named place'],
  duplicated: ['I2', 'handled again'],
  reordered: ['I3', 'handled after a later one'],
  pending: ['I4', 'send() still pending past its deadline'],
  rejected: ['I4', 'send() rejected'],
}

export class SoakJudge {
  readonly #fatal: Fatal[] = []
  readonly #growth: GrowthMaker

  constructor(time: GrowthTime) {
    this.#growth = new GrowthMaker(time)
  }

  take(entry: Entry): void {
    if (entry.kind === 'fatal') this.#fatal.push(entry)
    this.#growth.take(entry)
  }

  /** @param messages - of the same entries, by {@link FindingsMaker} */
  finish(
    messages: readonly NamedMessages[],
    terms: Pick<Terms, 'judgedAt' | 'allowedRejections'>,
  ): { violations: Violation[]; growth: Growth[] } {
    const growth = this.#growth.finish()
    const grown = growth
      .filter(({ verdict }) => verdict === 'grows')
      .map((each): Violation => ({ invariant: 'I5', message: growthLine(each) }))
    return {
      violations: [...messages.map(violationOf), ...nothingBroke(this.#fatal, terms), ...grown],
      growth,
    }
  }
}

function violationOf({ what, lane, fromN, toN, code }: NamedMessages): Violation {
  const [invariant, words] = WORDS[what]
  const numbers = fromN === toN ? String(fromN) : `${fromN} to ${toN}`
  return { invariant, message: `${lane}: ${numbers} ${words}${code === undefined ? '' : ` with ${code}`}` }
}
