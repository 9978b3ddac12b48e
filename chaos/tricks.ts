/** What a process of the load is made to do to itself. */
import { type FileHandle, open } from 'node:fs/promises'

/** What a disk can do to those who write: take nothing more, or not say that it has it. */
export type DiskFault = 'full' | 'fsync-fails'

const FAILING: Readonly<
  Record<DiskFault, { readonly code: string; readonly methods: readonly (keyof FileHandle)[] }>
> = {
  full: { code: 'ENOSPC', methods: ['write', 'writev', 'writeFile', 'appendFile'] },
  'fsync-fails': { code: 'EIO', methods: ['sync', 'datasync'] },
}

/**
 * From now on every file of this process that is written through node:fs/promises fails so. n.b. its ledger is written
 * otherwise, and so goes on.
 */
export async function breakDisk(fault: DiskFault): Promise<void> {
  const handle = await open('/dev/null', 'r')
  const prototype = Object.getPrototypeOf(handle) as object
  await handle.close()
  const { code, methods } = FAILING[fault]
  const fail = (): Promise<never> =>
    Promise.reject(Object.assign(new Error(`${code}: made to fail`), { code }))
  for (const method of methods) Object.defineProperty(prototype, method, { value: fail, configurable: true })
}

/** Computes without a break for so long: no timer fires, no byte is read. */
export function block(forMs: number): void {
  const end = performance.now() + forMs
  while (performance.now() < end);
}

const REAL = Date
let movedBy = 0

/**
 * Moves this process's wall clock. n.b. what the program sees as `Date`; timers, `performance` and the TLS library keep the
 * machine's, as they would after a correction by an operator on a machine whose monotonic clock goes on.
 */
export function moveClock(byMs: number): void {
  if (globalThis.Date === REAL) globalThis.Date = movedDate(REAL)
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
