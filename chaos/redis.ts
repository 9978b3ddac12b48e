/** A Redis for one run, on a socket in a folder of its own: the memory that several workers share. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const START_LIMIT_MS = 10_000
const POLL_MS = 50

export interface RedisProcess {
  /** Path of its socket. */
  readonly socket: string
  close(): Promise<void>
}

/** Starts `redis-server` from the PATH. @throws Error `not injected: …` where there is none */
export async function startRedis(): Promise<RedisProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-redis-'))
  const socket = join(folder, 'redis.sock')
  const child = spawn(
    'redis-server',
    ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder],
    {
      stdio: 'ignore',
    },
  )
  const failed = new Promise<Error>(resolve => child.once('error', resolve))
  try {
    await Promise.race([listening(child, socket), failed.then(reject)])
  } catch (cause) {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
    throw new Error('not injected: a memory that workers share needs redis-server in the PATH', { cause })
  }
  return {
    socket,
    async close() {
      const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function listening(child: ChildProcess, socket: string): Promise<void> {
  const deadline = performance.now() + START_LIMIT_MS
  while (!existsSync(socket)) {
    if (child.exitCode !== null) throw new Error(`redis-server ended with code ${child.exitCode}`)
    if (performance.now() > deadline)
      throw new Error(`redis-server did not listen within ${START_LIMIT_MS / 1000} s`)
    await sleep(POLL_MS)
  }
}

function reject(error: Error): never {
  throw error
}
