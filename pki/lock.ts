/**
 * One writer at a time in a domain's folder: a file that names the process. A lock whose process has died is taken over.
 */
import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { SealbusError } from '../src/errors.js'
import { readIfThere, withFile } from './files.js'

const POLL_MS = 100
/** How long to wait for another to finish. */
export const LOCK_WAIT_MS = 10_000 // 10 seconds

/**
 * Runs `work` while nobody else may change the folder.
 * @throws SealbusError `timeout` when another still works there after `waitMs`
 */
export async function withLock<T>(
  path: string,
  work: () => T | Promise<T>,
  waitMs: number = LOCK_WAIT_MS,
): Promise<T> {
  const deadline = Date.now() + waitMs
  while (!take(path)) {
    if (Date.now() >= deadline) throw busy(path)
    await sleep(POLL_MS)
  }
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}

function busy(path: string): SealbusError {
  const owner = readIfThere(path)?.toString('utf8').trim() ?? 'unknown'
  return new SealbusError(
    'timeout',
    `${path}: another process (${owner}) is changing this folder; try again when it has ended, or remove the file if it has`,
  )
}

function take(path: string): boolean {
  return create(path) || (dead(path) && create(path))
}

/** A whole file under another name, linked into place: a lock is never seen without its owner. */
function create(path: string): boolean {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  return withFile(path, () => {
    try {
      writeFileSync(draft, `${process.pid} ${hostname()}\n`, { flag: 'wx' })
      linkSync(draft, path)
      return true
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw cause
    } finally {
      rmSync(draft, { force: true })
    }
  })
}

/** Removes the lock of a dead process; gives it back if somebody else took it over meanwhile. */
function dead(path: string): boolean {
  const owner = readIfThere(path)?.toString('utf8')
  if (owner === undefined) return true
  if (alive(owner)) return false
  const aside = `${path}.${process.pid}`
  try {
    renameSync(path, aside)
    if (readFileSync(aside, 'utf8') !== owner) linkSync(aside, path)
  } catch {
    return false // somebody was faster
  } finally {
    rmSync(aside, { force: true })
  }
  return true
}

function alive(owner: string): boolean {
  const [pid, host] = owner.trim().split(' ')
  if (host !== hostname()) return true // n.b. another machine's processes cannot be asked
  try {
    process.kill(Number(pid), 0)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM'
  }
}
