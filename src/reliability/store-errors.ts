/** What a store that others write to may answer besides an outcome. Internal: neither reaches the application. */
import type { Known } from './seen.js'

/** The number is used up: the transaction is rolled back, and the message acknowledged. */
export class AlreadySeen extends Error {
  override readonly name: string = 'AlreadySeen'
  readonly known: Known

  constructor(known: Known) {
    super('the message was handled before')
    this.known = known
  }
}

/** The database did not begin or end a transaction. Not the handler's failure: tried again, and not counted. */
export class StoreUnavailable extends Error {
  override readonly name: string = 'StoreUnavailable'
}

/** The handler has ended well, but its transaction was rolled back: its failure. */
export class RolledBack extends Error {
  override readonly name: string = 'RolledBack'
}
