/**
 * Writing files so that a reader never sees half of one: into a sibling, then renamed. Equal content is left
 * untouched, its time of change too. Errors say which file, and that a full disk is a full disk.
 */
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SealbusError } from '../src/errors.js'

/** Modes: what only its owner may read, and what anybody may. */
export const PRIVATE_FILE = 0o600
export const PUBLIC_FILE = 0o644
export const PRIVATE_FOLDER = 0o700

/** What to do about an error of the file system. */
const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space, then run the same command again',
  EDQUOT: 'the disk quota is used up: free some space, then run the same command again',
  EFBIG: 'the file is larger than the limit on file sizes (ulimit -f)',
  EACCES: 'permission denied: run as the user who owns the folder',
  EPERM: 'not permitted: run as the user who owns the folder',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files (ulimit -n)',
}

/** Runs a file operation; a failure becomes a sentence. @throws SealbusError `store-failed` */
export function withFile<T>(path: string, action: () => T): T {
  try {
    return action()
  } catch (cause) {
    if (cause instanceof SealbusError) throw cause
    const code = (cause as NodeJS.ErrnoException).code ?? 'error'
    throw new SealbusError('store-failed', `${path}: ${ADVICE[code] ?? (cause as Error).message}`, { cause })
  }
}

/** The file's bytes, or undefined where there is none. */
export function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    return withFile(path, () => {
      throw cause
    })
  }
}

/** The names in a folder, sorted, without those that start with a dot; none where there is no folder. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter(name => !name.startsWith('.'))
      .sort()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    return withFile(folder, () => {
      throw cause
    })
  }
}

/** Makes a folder that only its owner may enter, and what leads to it. */
export function makeFolder(path: string): void {
  withFile(path, () => mkdirSync(path, { recursive: true, mode: PRIVATE_FOLDER }))
}

/** Writes a new file in a folder that nobody sees yet: no sibling, no rename. */
export function writeNew(path: string, content: string | Uint8Array, mode: number = PUBLIC_FILE): void {
  withFile(path, () => {
    writeFileSync(path, content, { mode, flag: 'wx' })
    if (mode === PRIVATE_FILE) chmodSync(path, mode) // whatever the umask is
  })
}

/** Puts a file in place in one step, if its content differs. Returns whether it did. */
export function writeIfDifferent(
  path: string,
  content: string | Uint8Array,
  mode: number = PUBLIC_FILE,
): boolean {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  const before = readIfThere(path)
  if (before !== undefined && Buffer.compare(before, bytes) === 0) return false
  replace(path, bytes, mode)
  return true
}

function replace(path: string, bytes: Uint8Array, mode: number): void {
  const sibling = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  withFile(path, () => {
    try {
      writeFileSync(sibling, bytes, { mode, flag: 'wx' })
      renameSync(sibling, path)
    } catch (cause) {
      rmSync(sibling, { force: true })
      throw cause
    }
  })
}

/** Has the operating system put a file or folder on the disk. */
export function sync(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Builds a folder out of sight and moves it into place when it is complete: others see all of it or nothing. A folder
 * that is there already gives way.
 * @param workshop - a folder on the same file system
 */
export function buildFolder(path: string, workshop: string, build: (folder: string) => void): void {
  const draft = join(workshop, `${basename(path)}.${randomBytes(6).toString('hex')}`)
  const aside = `${draft}.before`
  makeFolder(dirname(path))
  makeFolder(draft)
  try {
    build(draft)
    withFile(path, () => {
      if (existsSync(path)) renameSync(path, aside)
      renameSync(draft, path)
    })
  } finally {
    for (const each of [draft, aside]) rmSync(each, { recursive: true, force: true })
  }
}

/** A JSON file as these folders have them: two spaces, a line end at the end. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** Parses a JSON file. @throws SealbusError `configuration` naming the file */
export function readJson(path: string): unknown {
  const bytes = readIfThere(path)
  if (bytes === undefined) throw new SealbusError('configuration', `${path}: expected a file, found none`)
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch (cause) {
    throw new SealbusError('configuration', `${path}: expected JSON: ${(cause as Error).message}`, { cause })
  }
}
