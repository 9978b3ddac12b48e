/** What the commands of `sealbus parked` do: options in, a look at what is parked, a few lines out. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { asError, SealbusError } from '../src/errors.js'
import { factsOf } from './parked-facts.js'
import { groupedById, openInbox, type ParkedInbox, type ParkedItem, withParked } from './parked-inbox.js'
import { grantReplay, replayOutcome } from './parked-replay.js'
import { details, table } from './parked-text.js'
import { EXIT } from './usage.js'

/** What was given on the command line, checked. */
export interface ParkedRequest {
  readonly identity: string
  readonly state: string | undefined
  readonly local: boolean
  readonly json: boolean
  readonly payload: boolean
  readonly all: boolean
  readonly out: string | undefined
  readonly waitSeconds: number
  /** Beginnings of ids. */
  readonly ids: readonly string[]
}

export async function list(request: ParkedRequest): Promise<number> {
  const facts = await look(request, items => Promise.resolve(items.map(item => factsOf(item, false))))
  return say(request.json ? JSON.stringify(facts, null, 2) : table(facts))
}

export async function show(request: ParkedRequest): Promise<number> {
  const facts = await look(request, items => {
    const [[item]] = selected(items, request.ids)
    return Promise.resolve(factsOf(item, request.payload))
  })
  return say(request.json ? JSON.stringify(facts, null, 2) : details(facts))
}

export async function replay(request: ParkedRequest): Promise<number> {
  const inbox = await inboxOf(request)
  const sinceMs = Date.now()
  const id = await withParked(inbox, request.local, async items => {
    const [copies] = selected(items, request.ids)
    await grantReplay(inbox, copies[0], copies)
    return copies[0].id
  })
  const notes = await replayOutcome(inbox, id, sinceMs, request.waitSeconds * 1000)
  if (notes === undefined)
    return say(`${id}: waits in ${inbox.state ?? ''}/replay; the process that uses this folder takes it in`)
  if (notes.length === 0) return say(`${id}: taken in; no outcome was noted, see sealbus parked list`)
  const lines = notes.map(({ seq, reason }) => `${id}: number ${seq ?? '?'}: ${OUTCOMES[reason] ?? reason}`)
  say(lines.join('\n'))
  return notes.some(({ reason }) => reason === 'handled') ? EXIT.done : EXIT.failed
}

const OUTCOMES: Readonly<Record<string, string>> = {
  handled: 'handled',
  duplicate: 'was handled already; nothing was done',
  failed: 'the handler failed again; it is parked again',
  expired: 'has expired; nothing was done',
  refused: 'the policy refuses it; it is parked again',
  'not-replayed': 'nobody remembers whether it was handled; it is parked again',
}

/** Named `remove` as the command's word is JavaScript's own. */
export async function remove(request: ParkedRequest): Promise<number> {
  return look(request, async items => {
    const chosen = selected(items, request.ids)
    for (const copy of chosen.flat()) await copy.remove()
    return say(chosen.map(([{ id }]) => `${id}: deleted`).join('\n'))
  })
}

export async function exportBodies(request: ParkedRequest): Promise<number> {
  const out = request.out ?? '.'
  return look(request, items => {
    const chosen = request.all ? groupedById(items) : selected(items, request.ids)
    for (const [item] of chosen) write(out, item)
    return Promise.resolve(say(`${chosen.length} written to ${out}; they are parked still`))
  })
}

function write(out: string, item: ParkedItem): void {
  try {
    mkdirSync(out, { recursive: true, mode: 0o700 })
    writeFileSync(join(out, `${item.id}.sealed`), item.body, { mode: 0o600 })
    writeFileSync(join(out, `${item.id}.json`), `${JSON.stringify(factsOf(item, false), null, 2)}\n`, {
      mode: 0o600,
    })
  } catch (cause) {
    throw new SealbusError('store-failed', `--out ${out}: ${asError(cause).message}`, { cause })
  }
}

/** Copies of the same, at least one. */
type Copies = readonly [ParkedItem, ...ParkedItem[]]

/** For each beginning of an id, or message id, the one item that it means, with its copies. @throws SealbusError `configuration` */
function selected(items: readonly ParkedItem[], ids: readonly string[]): readonly [Copies, ...Copies[]] {
  const all = groupedById(items)
  const [first, ...more] = ids.map(id => one(all, id))
  if (first !== undefined) return [first, ...more]
  throw new SealbusError('configuration', 'expected an id of sealbus parked list, got none')
}

function one(all: readonly Copies[], wanted: string): Copies {
  const exact = all.filter(([{ id }]) => id === wanted)
  const found =
    exact.length > 0
      ? exact
      : all.filter(([{ id, messageId }]) => id.startsWith(wanted) || messageId.startsWith(wanted))
  const [copies, another] = found
  if (copies !== undefined && another === undefined) return copies
  const what = copies === undefined ? 'nothing' : found.map(([{ id }]) => id).join(', ')
  throw new SealbusError('configuration', `${wanted}: expected one parked item, found ${what}`)
}

async function look<T>(
  request: ParkedRequest,
  work: (items: readonly ParkedItem[]) => Promise<T>,
): Promise<T> {
  return withParked(await inboxOf(request), request.local, work)
}

function inboxOf({ identity, state }: ParkedRequest): Promise<ParkedInbox> {
  return openInbox(identity, state, warning => void process.stderr.write(`${warning}\n`))
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return EXIT.done
}
