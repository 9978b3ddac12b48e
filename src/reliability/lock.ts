/**
 * A lock file: two processes must not write one state folder. It names its owner's process id and, on Linux, when that
 * process started, so that the lock of a dead process is taken over even where its number was given out again.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { SealbusError } from '../errors.js'

const held: Set<string> = new Set()

export interface Lock {
  /** May be called twice. */
  release(): void
}

/** @throws SealbusError `configuration`: a living process has it */
export function acquireLock(path: string): Lock {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (!tryCreate(path)) {
    const owner = readOwner(path)
    if (owner && isAlive(owner, path)) throw inUse(path, owner.pid)
    rmSync(path, { force: true })
    if (!tryCreate(path)) throw inUse(path, readOwner(path)?.pid ?? 0)
  }
  held.add(path)
  return {
    release: () => {
      if (held.delete(path)) rmSync(path, { force: true })
    },
  }
}

interface Owner {
  readonly pid: number
  readonly started: string
}

function tryCreate(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid} ${startOf(process.pid)}\n`, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new SealbusError('store-failed', `${path}: cannot be written; is the state folder writable?`, {
      cause: error,
    })
  }
}

function readOwner(path: string): Owner | undefined {
  try {
    const [pid, started = ''] = readFileSync(path, 'utf8').trim().split(' ')
    return Number(pid) > 0 ? { pid: Number(pid), started } : undefined
  } catch {
    return undefined
  }
}

/** n.b. in a container the process before us may have had our own number. */
function isAlive(owner: Owner, path: string): boolean {
  if (owner.pid === process.pid && owner.started === startOf(process.pid)) return held.has(path)
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return owner.started === startOf(owner.pid)
}

/** Field 22 of /proc/PID/stat, counted behind the name, which may hold anything; empty elsewhere than on Linux. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

function inUse(path: string, pid: number): SealbusError {
  return new SealbusError(
    'configuration',
    `${path}: process ${pid} uses this state folder; stop it, or give this one a folder of its own`,
  )
}
