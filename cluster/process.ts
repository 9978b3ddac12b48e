/**
 * A process by its id *and* its time of start. A pid alone may have been given to somebody else since the pid
 * file was written, and a development tool must never end somebody else's process.
 */

import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { SealbusError } from '../src/errors.js'

/** A started process. */
export interface ProcessId {
  readonly pid: number
  /** The kernel's start time, in clock ticks since boot; empty where the system does not show it. */
  readonly startedAt: string
}

/**
 * Starts a program that outlives us, its output appended to a log file, and writes its pid file.
 *
 * @param pidFile - holds `PID STARTTIME` afterwards
 * @throws {@link SealbusError} `configuration` when the program cannot be started
 */
export async function startDetached(
  program: string,
  args: readonly string[],
  options: { env: Record<string, string>; cwd: string; logFile: string; pidFile: string },
): Promise<ProcessId> {
  const log = openSync(options.logFile, 'a')
  try {
    const child = spawn(program, args, {
      env: options.env,
      cwd: options.cwd,
      detached: true,
      stdio: ['ignore', log, log],
    })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', cause => {
        reject(new SealbusError('configuration', `cannot start ${program}: ${cause.message}`, { cause }))
      })
    })
    child.unref()
    const id = { pid: child.pid ?? 0, startedAt: startTime(child.pid ?? 0) ?? '' }
    writePidFile(options.pidFile, id)
    return id
  } finally {
    closeSync(log)
  }
}

/** The process that the pid file names, if it is still that one and alive. */
export function livingProcess(pidFile: string): ProcessId | undefined {
  let text: string
  try {
    text = readFileSync(pidFile, 'utf8')
  } catch {
    return undefined
  }
  const [pid = '', startedAt = ''] = text.trim().split(' ')
  const id = { pid: Number(pid), startedAt }
  return isAlive(id) ? id : undefined
}

/** True while exactly this process runs (a zombie does not). */
export function isAlive(id: ProcessId): boolean {
  if (!Number.isInteger(id.pid) || id.pid <= 1) return false
  try {
    process.kill(id.pid, 0)
  } catch {
    return false
  }
  return process.platform !== 'linux' || startTime(id.pid) === id.startedAt
}

/** True while exactly this process is stopped (SIGSTOP). n.b. only where there is a /proc */
export function isStopped(id: ProcessId): boolean {
  return isAlive(id) && statFields(id.pid)?.[0] === 'T'
}

/** Sends a signal to exactly this process; does nothing when it is gone. */
export function signal(id: ProcessId, name: NodeJS.Signals): void {
  if (!isAlive(id)) return
  try {
    process.kill(id.pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Waits until the process is gone; false when it still runs after `timeoutMs`. */
export async function waitForExit(id: ProcessId, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  while (isAlive(id)) {
    if (Date.now() > deadline) return false
    await sleep(20)
  }
  return true
}

/** This process, for files that say who owns something. */
export function ownProcess(): ProcessId {
  return { pid: process.pid, startedAt: startTime(process.pid) ?? '' }
}

function writePidFile(pidFile: string, id: ProcessId): void {
  rmSync(pidFile, { force: true })
  writeFileSync(`${pidFile}.new`, `${id.pid} ${id.startedAt}\n`)
  renameSync(`${pidFile}.new`, pidFile)
}

/** Field 22 of `/proc/PID/stat`; nothing for a zombie. */
function startTime(pid: number): string | undefined {
  const fields = statFields(pid)
  return fields?.[0] === 'Z' ? undefined : fields?.[19]
}

/** `/proc/PID/stat` from field 3, the state, on; the name in field 2 may hold spaces and brackets, so count from its end. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}
