/** What a word of a scenario's steps is: how its argument is read, and what it then does. Types, and two ways to make one. */
import type { Action } from './drivers/actions.js'
import type { LinkAction } from './drivers/driver.js'
import type { Read } from './fields.js'
import type { Play } from './play.js'

/** One row of the vocabulary. */
export interface Word {
  /** A line for docs/CHAOS.md and `sealbus chaos words`. */
  readonly summary: string
  /** What stands after the colon, as an example. */
  readonly example: string
  readonly needs: readonly Action[]
  readonly needsLinks: readonly LinkAction[]
  /** It breaks something: the first such step is the injection. */
  readonly breaks: boolean
  /** Reads the argument. @returns what it does */
  readonly read: Read<(play: Play) => Promise<void>>
}

export type Words = Readonly<Record<string, Word>>

/** Reads the argument with `read`, and does `run` with it. */
export function word<T>(
  about: Pick<Word, 'summary' | 'example'> & Partial<Word>,
  read: Read<T>,
  run: (play: Play, argument: T) => Promise<void> | void,
): Word {
  return {
    ...{ needs: [], needsLinks: [], breaks: false, ...about },
    read(yaml) {
      const argument = read(yaml)
      return async play => await run(play, argument)
    },
  }
}

/** A word that breaks something: the clock of gaps starts just before it acts. */
export function fault<T>(
  about: Pick<Word, 'summary' | 'example'> & Partial<Word>,
  read: Read<T>,
  run: (play: Play, argument: T) => Promise<void> | void,
): Word {
  return word({ ...about, breaks: true }, read, async (play, argument) => {
    play.stage.injected()
    await run(play, argument)
  })
}
