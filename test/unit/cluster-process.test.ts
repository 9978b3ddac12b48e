import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { releasePorts, reservePorts } from '../../cluster/ports.js'
import {
  isAlive,
  livingProcess,
  ownProcess,
  signal,
  startDetached,
  waitForExit,
} from '../../cluster/process.js'

const folder = mkdtempSync(join(tmpdir(), 'sealbus-process-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

async function sleeper(name: string) {
  const files = { pidFile: join(folder, `${name}.pid`), logFile: join(folder, `${name}.log`) }
  const id = await startDetached('sleep', ['60'], {
    env: { PATH: process.env['PATH'] ?? '' },
    cwd: folder,
    ...files,
  })
  return { id, pidFile: files.pidFile }
}

test('a pid file names its process until that is gone', async () => {
  const { id, pidFile } = await sleeper('one')
  expect(livingProcess(pidFile)).toEqual(id)
  signal(id, 'SIGKILL')
  expect(await waitForExit(id, 5_000)).toBe(true)
  expect(livingProcess(pidFile)).toBeUndefined()
})

test('a pid that was given to another process is not taken for the old one', async () => {
  const { id, pidFile } = await sleeper('two')
  writeFileSync(pidFile, `${id.pid} 1\n`)
  expect(livingProcess(pidFile)).toBeUndefined()
  signal({ pid: id.pid, startedAt: '1' }, 'SIGKILL')
  expect(isAlive(id)).toBe(true)
  signal(id, 'SIGKILL')
  await waitForExit(id, 5_000)
})

test('waiting for a process that stays ends with false', async () => {
  expect(await waitForExit(ownProcess(), 50)).toBe(false)
})

test('a program that does not exist is a clear error', async () => {
  const files = { pidFile: join(folder, 'no.pid'), logFile: join(folder, 'no.log') }
  await expect(startDetached('/no/such/program', [], { env: {}, cwd: folder, ...files })).rejects.toThrow(
    /cannot start \/no\/such\/program/,
  )
})

test('two clusters never get the same ports, and one gets its own again', async () => {
  const first = await reservePorts(join(folder, 'a'), 3)
  const second = await reservePorts(join(folder, 'b'), 3, first.block)
  expect(second.block).not.toBe(first.block)
  const again = await reservePorts(join(folder, 'a'), 3, first.block)
  expect(again).toEqual(first)
  releasePorts(first.block)
  releasePorts(second.block)
})

test('a block with a port that somebody listens on is passed over', async () => {
  const first = await reservePorts(join(folder, 'c'), 3)
  const server = createServer().listen(first.nodes[1]?.amqps, '127.0.0.1')
  const other = await reservePorts(join(folder, 'c'), 3, first.block)
  expect(other.block).not.toBe(first.block)
  server.close()
  releasePorts(other.block)
  releasePorts(first.block)
})

test('ports lie below those that systems take for outgoing connections', async () => {
  const ports = await reservePorts(join(folder, 'd'), 7)
  const all = [ports.epmd, ...ports.nodes.flatMap(node => [node.amqps, node.distribution])]
  expect(new Set(all).size).toBe(15)
  expect(Math.max(...all)).toBeLessThan(32_768)
  releasePorts(ports.block)
})

test('the log of a started program is in its file', async () => {
  const files = { pidFile: join(folder, 'echo.pid'), logFile: join(folder, 'echo.log') }
  const id = await startDetached('/bin/sh', ['-c', 'echo said; echo complained >&2'], {
    env: {},
    cwd: folder,
    ...files,
  })
  await waitForExit(id, 5_000)
  expect(readFileSync(files.logFile, 'utf8').split('\n').sort()).toEqual(['', 'complained', 'said'])
})
