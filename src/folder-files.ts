/**
 * The files of a device's folder, below what they mean: text, bytes, PEM, private files. Whatever cannot be read, or is not
 * as a reader of its contents expects, is told with the file's name and what to do.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { asError, isSealbusError, SealbusError } from './errors.js'

/** Permission bits of group and others. */
const OTHERS = 0o077

export class FolderFiles {
  /** Absolute. */
  readonly dir: string
  readonly #warn: (message: string) => void

  constructor(dir: string, warn: (message: string) => void) {
    this.dir = resolve(dir)
    this.#warn = warn
  }

  /** The absolute path of a file of the folder. */
  path(name: string): string {
    return resolve(this.dir, name)
  }

  /** Runs one step over a file's contents; whatever it refuses is told with the file's name. */
  check<T>(file: string, step: () => T): T {
    try {
      return step()
    } catch (error) {
      const { message } = asError(error)
      if (isSealbusError(error, 'configuration')) throw this.#error('configuration', file, message, error)
      throw this.broken(file, message, error)
    }
  }

  /** Read at once, without a thread of the pool. @throws SealbusError `identity` */
  textNow(file: string): string {
    try {
      return readFileSync(this.path(file), 'utf8')
    } catch (error) {
      throw this.#unreadable(file, error)
    }
  }

  async text(file: string): Promise<string> {
    return Buffer.from(await this.bytes(file)).toString('utf8')
  }

  async bytes(file: string): Promise<Uint8Array> {
    try {
      return new Uint8Array(await readFile(this.path(file)))
    } catch (error) {
      throw this.#unreadable(file, error)
    }
  }

  /** A file that only its owner should be able to read. */
  async secret(file: string): Promise<string> {
    const text = await this.text(file)
    const { mode } = await stat(this.path(file))
    if (process.platform !== 'win32' && (mode & OTHERS) !== 0)
      this.#warn(`${this.path(file)}: others may read this private file, expected mode 0600: chmod 600 it`)
    return text
  }

  async list(folder: string): Promise<string[]> {
    try {
      return (await readdir(this.path(folder))).sort()
    } catch (error) {
      throw this.#unreadable(folder, error)
    }
  }

  /** Every certificate of a PEM file, in DER. */
  async certificates(file: string): Promise<Uint8Array[]> {
    const text = await this.text(file)
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
    if (blocks.length === 0) throw this.broken(file, 'expected a certificate as PEM, found none')
    return this.check(file, () => blocks.map(pem => new Uint8Array(new X509Certificate(pem).raw)))
  }

  #unreadable(file: string, error: unknown): SealbusError {
    const { code = 'unknown error' } = asError(error) as NodeJS.ErrnoException
    const what = code === 'ENOENT' ? 'it is missing' : `it cannot be read (${code})`
    return this.broken(file, `${what}, provision the device again or restore its folder`, error)
  }

  broken(file: string, message: string, cause?: unknown): SealbusError {
    return this.#error('identity', file, message, cause)
  }

  #error(code: 'identity' | 'configuration', file: string, message: string, cause?: unknown): SealbusError {
    const text = message.startsWith(this.path(file)) ? message : `${this.path(file)}: ${message}`
    return new SealbusError(code, text, cause === undefined ? undefined : { cause })
  }
}
