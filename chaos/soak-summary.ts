/** A soak in a few lines for people, and as JSON for checks. */
import type { NamedMessages, Totals } from './report-model.js'
import type { SoakResult } from './soak.js'
import { type Growth, growthLine } from './soak-growth.js'

/** The JSON of a soak. */
export interface SoakJson {
  readonly seed: string
  readonly durationMs: number
  readonly met: boolean
  /** Why there is no result, if there is none. */
  readonly error: string | null
  /** How often each fault came, by its name. */
  readonly faults: Readonly<Record<string, number>>
  /** `I1 …`. */
  readonly violations: readonly string[]
  readonly messages: readonly NamedMessages[]
  readonly totals: Totals
  readonly growth: readonly Growth[]
}

export function soakJson({ model, events, growth }: SoakResult): SoakJson {
  const faults: Record<string, number> = {}
  for (const { name } of events) faults[name] = (faults[name] ?? 0) + 1
  const { seed, durationMs, verdict, error = null, invariants, totals } = model
  return {
    ...{ seed, durationMs, error, faults, totals, growth },
    met: verdict === 'met',
    violations: invariants.flatMap(({ invariant, violations }) =>
      violations.map(violation => `${invariant} ${violation}`),
    ),
    messages: invariants.flatMap(({ messages }) => messages),
  }
}

export function soakText(result: SoakResult): string {
  const { model, events, growth } = result
  const { faults, violations, error, totals } = soakJson(result)
  const { sent, resolved, rejected, handled, handledAgain, placed } = totals
  return [
    `${model.verdict}${error === null ? '' : `: ${error}`}`,
    `sent ${sent}, resolved ${resolved}, rejected ${rejected}, handled ${handled}, handled again ${handledAgain}, in named places ${placed}`,
    `${events.length} faults: ${Object.entries(faults)
      .map(([name, times]) => `${name} (${times})`)
      .join('; ')}`,
    `violations ${violations.length}`,
    ...violations.slice(0, 20).map(violation => `  ${violation}`),
    'growth:',
    ...growth.map(each => `  ${growthLine(each)}`),
  ].join('\n')
}
