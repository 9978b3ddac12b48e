/** Anything that a campaign can run: a scenario file, or a program of its own (a soak, a publisher that is killed). Types only. */
import type { Random } from './random.js'
import type { RunResult, Scenario, Setting } from './scenario.js'

export interface Fault extends Pick<Scenario, 'id' | 'name' | 'description' | 'bound'> {
  /** Makes one run and judges it. @param run - a name for its ledgers. Never throws */
  run(setting: Setting, run: string, random: Random): Promise<RunResult>
}
