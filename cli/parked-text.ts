/** Parked items as lines for people. */
import type { ItemFacts, MessageFacts } from './parked-facts.js'
import { groupedById } from './parked-inbox.js'

/** One line for each id; the same body that is parked several times is one. */
export function table(items: readonly ItemFacts[]): string {
  if (items.length === 0) return 'nothing is parked'
  const rows = groupedById(items).map(rowOf)
  const head = ['ID', 'PARKED AT', 'REASON', 'FROM', 'MESSAGES', 'BYTES', 'COPIES']
  return aligned([head, ...rows])
}

function rowOf(copies: readonly [ItemFacts, ...ItemFacts[]]): string[] {
  const [facts] = copies
  return [
    facts.id,
    facts.parkedAt?.replace(/\.\d+Z$/, 'Z') ?? '-',
    facts.reasons.join(',') || 'not noted',
    fromOf(facts),
    summaryOf(facts),
    String(facts.bodyBytes),
    String(copies.length),
  ]
}

function fromOf({ from, claimedFrom }: ItemFacts): string {
  if (from !== null) return from
  return claimedFrom === null ? 'unknown' : `${claimedFrom} (claimed)`
}

function summaryOf({ messages, notOpened }: ItemFacts): string {
  if (notOpened !== null) return 'does not open'
  const types = [...new Set(messages.map(({ type }) => type))]
  const more = types.length > 2 ? ', …' : ''
  const expired = messages.length > 0 && messages.every(message => message.expired) ? ', expired' : ''
  return `${messages.length} ${types.slice(0, 2).join(', ')}${more}${expired}`
}

/** Everything about one of them. */
export function details(facts: ItemFacts): string {
  const lines = [
    ['id', facts.id],
    ['kept at', facts.where],
    ['parked at', facts.parkedAt ?? 'not noted'],
    ['reason', facts.reasons.join(', ') || 'not noted'],
    ['from', fromOf(facts)],
    ['message id', printable(facts.messageId)],
    ['bytes', String(facts.bodyBytes)],
    ...(facts.notOpened === null ? [['epoch', facts.epoch ?? '']] : [['does not open', facts.notOpened]]),
  ]
  return [aligned(lines), ...facts.messages.map(describe)].join('\n')
}

function describe(message: MessageFacts): string {
  const { index, seq, type, contentType, createdAt, expiresAt, expired, payloadBytes } = message
  const lines = [
    `message ${index}: number ${seq}, type ${type}, ${printable(contentType)}, ${payloadBytes} bytes`,
    `  created ${createdAt}, ${expired ? 'expired' : 'expires'} ${expiresAt}`,
  ]
  const { payload, payloadEncoding } = message
  if (payload !== undefined) lines.push(payloadEncoding === 'hex' ? `  hex ${payload}` : payload)
  return lines.join('\n')
}

/** n.b. chosen by a sender, or by whoever may write into the queue: nothing of it steers the terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 128)
}

function aligned(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map(row => row.length))
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(...rows.map(row => row[at]?.length ?? 0)),
  )
  return rows
    .map(row =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
