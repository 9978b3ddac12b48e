/** Domains in temporary folders, for tests. Making one costs a second of key derivation: copy it where that will do. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, vi } from 'vitest'
import { initPki, openPki, type Pki } from '../../pki/index.js'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 }) // key derivation takes its time on a busy machine

export const PASSPHRASE = 'correct horse battery staple'

/** A temporary folder that is gone after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-pki-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

let template: Promise<string> | undefined

/** A new domain, opened. */
export async function newDomain(folder: string, name: string, now: () => number = Date.now): Promise<Pki> {
  template ??= initPki({ dir: join(folder, '.template'), domain: 'field', passphrase: PASSPHRASE }).then(
    ({ pki }) => pki.layout.dir,
  )
  const dir = join(folder, name)
  cpSync(await template, dir, { recursive: true, preserveTimestamps: true })
  return openPki({ dir, passphrase: PASSPHRASE, now })
}

/** Path, size, mode, time of change and inode of every file and folder: equal means untouched. */
export function snapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name !== '.lock')
    .sort()
    .map(name => {
      const { mode, size, mtimeMs, ino } = statSync(join(folder, name))
      return `${name} ${mode.toString(8)} ${size} ${mtimeMs} ${ino}`
    })
}

/** Runs OpenSSL's command; returns what it printed. */
export function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
