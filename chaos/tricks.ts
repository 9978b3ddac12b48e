/** What a process of the load is made to do to itself. */
/** Computes without a break for so long: no timer fires, no byte is read. */
export function block(forMs: number): void {
  const end = performance.now() + forMs
  while (performance.now() < end);
}

let movedBy = 0

/**
 * Moves this process's wall clock. n.b. what the program sees as `Date`; timers, `performance` and the TLS library keep the
 * machine's, as they would after a correction by an operator on a machine whose monotonic clock goes on.
 */
export function moveClock(byMs: number): void {
  if (movedBy === 0) globalThis.Date = movedDate(Date)
  movedBy += byMs
}

function movedDate(real: DateConstructor): DateConstructor {
  return new Proxy(real, {
    construct: (target, args: unknown[], newTarget) =>
      Reflect.construct(target, args.length === 0 ? [target.now() + movedBy] : args, newTarget) as Date,
    get: (target, key, receiver) =>
      key === 'now' ? () => target.now() + movedBy : (Reflect.get(target, key, receiver) as unknown),
  })
}
