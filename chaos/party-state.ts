/** What a party keeps in its outbox, copied and brought back: a backup that somebody restores. */
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'

const COPY_SUFFIX = '.chaos-copy'

/** @throws Error `not injected: …` for an identity without a state folder */
export function saveOutbox(identity: string): void {
  const folder = outboxOf(identity)
  rmSync(`${folder}${COPY_SUFFIX}`, { recursive: true, force: true })
  cpSync(folder, `${folder}${COPY_SUFFIX}`, { recursive: true })
}

/** Puts the copy in the place of what is there. @throws Error `not injected: …` where nothing was saved */
export function restoreOutbox(identity: string): void {
  const folder = outboxOf(identity)
  if (!existsSync(`${folder}${COPY_SUFFIX}`)) throw new Error(`not injected: nothing was saved of ${folder}`)
  rmSync(folder, { recursive: true, force: true })
  cpSync(`${folder}${COPY_SUFFIX}`, folder, { recursive: true })
  rmSync(`${folder}${COPY_SUFFIX}`, { recursive: true, force: true })
}

/**
 * A record whose writing was cut off by the end of the process: the first bytes of one more, behind the newest file's last.
 * @returns the file @throws Error `not injected: …` for an empty outbox
 */
export function tearOutbox(identity: string, bytes: number): string {
  const folder = outboxOf(identity)
  const files = existsSync(folder) ? readdirSync(folder).sort() : []
  const newest = files.findLast(name => name.endsWith('.log') && statSync(join(folder, name)).size > bytes)
  if (newest === undefined) throw new Error(`not injected: no file of ${folder} has more than ${bytes} bytes`)
  const file = join(folder, newest)
  appendFileSync(file, readFileSync(file).subarray(0, bytes))
  return file
}

/** As config.json has it; relative to the folder. */
function outboxOf(identity: string): string {
  const { state } = JSON.parse(readFileSync(join(identity, 'config.json'), 'utf8')) as { state?: string }
  if (state === undefined) throw new Error(`not injected: ${identity}/config.json names no state folder`)
  return join(resolve(identity, state), 'outbox')
}
