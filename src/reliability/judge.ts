/**
 * The verdict on one message of an opened envelope, in the order of docs/PROTOCOL.md ("Order of opening"): seen, expired,
 * allowed, in reach. Pure. No verdict means: it is the application's.
 */
import type { Party, Sender } from '../bus.js'
import type { PolicyCheck } from '../crypto/sealing.js'
import type { WireMessage } from '../wire.js'
import type { Lane } from './lane.js'
import type { Verdict } from './outcome.js'
import { CARD_TYPE, RECEIPT_TYPE } from './receipts.js'
import type { Requests } from './requests.js'
import { expiryMs } from './slots.js'

export interface JudgeOptions {
  /** Absent on a plain bus: everything is allowed. */
  readonly policy?: PolicyCheck
  readonly self: Party & { role?: string }
  /** The longest that a message may live here, whatever its ttl, ms. */
  readonly lifetimeMs: number
  readonly requests?: Requests
}

/** One's question to the policy; kept for a whole envelope, whose messages are mostly of one type. */
export interface Rule {
  readonly type: string
  readonly allowed: boolean
  readonly maxAgeMs: number
}

export function ruleFor(options: JudgeOptions, from: Sender, type: string): Rule {
  if (!options.policy) return { type, allowed: true, maxAgeMs: Infinity }
  const rule = options.policy.permit(from, { role: '', ...options.self }, type)
  return { type, allowed: rule !== undefined, maxAgeMs: rule?.maxAgeMs ?? Infinity }
}

export function isExpired(message: WireMessage, rule: Rule, lifetimeMs: number, nowMs: number): boolean {
  return nowMs >= expiryMs(message, lifetimeMs) || nowMs - message.createdAtMs > rule.maxAgeMs
}

/** What the receiver's memory says of the number. n.b. `skipped` and `below` only say so if it is not expired. */
export function judgeNumber(
  lane: Lane,
  seq: number,
  hash: string,
): 'unseen' | 'late' | 'duplicate' | 'conflict' {
  const slot = lane.slots.get(seq)
  if (slot) return slot.envelope.hash === hash ? 'duplicate' : 'conflict'
  const state = lane.memory.state(seq)
  if (state === 'unseen') return 'unseen'
  if (state === 'skipped' || state === 'below') return 'late'
  return lane.memory.conflicts(seq, hash) ? 'conflict' : 'duplicate'
}

/** The verdict on an unseen message. */
export function judgeUnseen(
  options: JudgeOptions,
  message: WireMessage,
  from: Sender,
  rule: Rule,
  nowMs: number,
): Verdict | undefined {
  if (isExpired(message, rule, options.lifetimeMs, nowMs)) return 'expired'
  if (message.type === RECEIPT_TYPE || message.type === CARD_TYPE) return 'control'
  if (message.type.startsWith('sealbus/')) return 'reserved-type'
  const match =
    message.inReplyTo && options.requests ? options.requests.match(from, message.inReplyTo) : 'none'
  if (match !== 'none') return match === 'open' ? 'control' : 'late-reply'
  return rule.allowed ? undefined : 'refused'
}
