/** Marks that need no transaction of their own: what comes while a statement is under way shares the next. */
import type { SeenMark } from './seen.js'
import { markNumbers } from './seen-sql.js'

/** Rows of one statement. */
const MAX_ROWS = 500

export class MarkBatch {
  readonly #write: (sql: string, values: readonly (string | number)[]) => Promise<unknown>
  #waiting: { mark: SeenMark; done: () => void; failed: (error: unknown) => void }[] = []
  #writing: Promise<void> | undefined

  /** @param write - one statement; rejects where nothing more can be written */
  constructor(write: (sql: string, values: readonly (string | number)[]) => Promise<unknown>) {
    this.#write = write
  }

  /** Resolves when it is written. @throws as `write` */
  add(mark: SeenMark): Promise<void> {
    const added = new Promise<void>((done, failed) => {
      this.#waiting.push({ mark, done, failed })
    })
    this.#writing ??= this.#writeAll()
    return added
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#writing
  }

  async #writeAll(): Promise<void> {
    await Promise.resolve() // n.b. what is marked in the same moment goes together
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_ROWS)
      // n.b. one statement may not change a row twice: of two marks of one number the later counts
      const rows = new Map(
        batch.map(({ mark }) => [`${mark.domain}/${mark.address}/${mark.epoch}/${mark.seq}`, mark]),
      )
      const values = [...rows.values()].flatMap(valuesOf)
      await this.#write(markNumbers(rows.size), values).then(
        () => {
          for (const { done } of batch) done()
        },
        (error: unknown) => {
          for (const { failed } of batch) failed(error)
        },
      )
    }
    this.#writing = undefined
  }
}

function valuesOf({ domain, address, epoch, seq, mark, hash, createdAtMs }: SeenMark): (string | number)[] {
  return [domain, address, epoch, seq, mark, hash, createdAtMs]
}
