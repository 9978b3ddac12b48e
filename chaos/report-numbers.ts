/** A set of numbers from 0 on that mostly come in order: a floor below which all are in it, and the few above. */
export class NumberSet {
  #floor = 0
  readonly #above = new Set<number>()

  has(n: number): boolean {
    return n < this.#floor || this.#above.has(n)
  }

  /** @returns whether it was not there yet */
  add(n: number): boolean {
    if (this.has(n)) return false
    this.#above.add(n)
    while (this.#above.delete(this.#floor)) this.#floor++
    return true
  }
}
