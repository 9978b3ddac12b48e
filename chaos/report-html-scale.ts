/** Numbers to places on a chart: axes with round steps. Pure. */

/** A place on an axis, and what is written there. */
export interface Tick {
  readonly at: number
  readonly label: string
}

/** Steps of 1, 2 or 5 times a power of ten. @returns the smallest that is at least `least` */
export function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, Number.MIN_VALUE)))
  const factor = [1, 2, 5, 10].find(each => each * power >= least * (1 - 1e-9)) ?? 10
  return factor * power
}

/** Round numbers in [from, to], at most `most` of them. */
export function ticks(from: number, to: number, most: number, label: (value: number) => string): Tick[] {
  const step = niceStep((to - from) / most || 1)
  const first = Math.ceil(from / step - 1e-9)
  const last = Math.floor(to / step + 1e-9)
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
    const at = (first + i) * step
    return { at, label: label(at) }
  })
}

/** Steps that are round on a clock: seconds, and minutes from a minute on. @returns ms */
export function timeStep(spanMs: number, most: number): number {
  const minute = 60_000
  const steps = [1, 2, 5, 10, 15, 30, 60].map(minutes => minutes * minute)
  const fine = niceStep(spanMs / most)
  if (fine <= 20_000) return fine
  return steps.find(step => step >= spanMs / most) ?? niceStep(spanMs / most / minute) * minute
}

/** The next power of ten at or above. */
export function powerAbove(value: number): number {
  return 10 ** Math.ceil(Math.log10(Math.max(value, 1)) - 1e-9)
}

/** Two decimals are enough of a thousand units. */
export function place(value: number): string {
  return String(Number(value.toFixed(2)))
}
