/**
 * What stands inside an envelope, decoded: the shapes that the layers hand each other. Types and limits only; the
 * bytes are in docs/PROTOCOL.md and codec/.
 */
import type { HeaderValue, Party } from './bus.js'

/** Messages in one envelope at most. */
export const MAX_MESSAGES = 1024
/** Size of a sealed body unless configured, at most {@link MAX_BODY_LIMIT}. */
export const DEFAULT_BODY_LIMIT: number = 1024 * 1024 // 1 MiB
export const MAX_BODY_LIMIT: number = 8 * 1024 * 1024
/** Clock skew that is allowed for. */
export const SKEW_MS = 120_000 // 2 minutes
/** Lifetime of a message unless the recipient's card says less, and the most that it may say. */
export const DEFAULT_LIFETIME_S: number = 24 * 3600
export const MAX_LIFETIME_S: number = 7 * 24 * 3600

/** One message of one lane: which run of the sender, which number in it. */
export interface MessageId {
  /** 16 hex digits (8 bytes). */
  readonly epoch: string
  /** 0 .. 2^53 − 1 */
  readonly seq: number
}

/** One message as it stands in an envelope, defaults filled in. */
export interface WireMessage {
  readonly type: string
  readonly payload: Uint8Array
  readonly createdAtMs: number
  /** Whole seconds, ≥ 1. */
  readonly ttlSeconds: number
  readonly contentType: string
  readonly correlationId?: string | Uint8Array
  readonly replyTo?: string
  readonly inReplyTo?: MessageId
  readonly receiptWanted: boolean
  readonly request: boolean
  readonly headers?: Readonly<Record<string, HeaderValue>>
}

/** Numbers that every envelope carries, absolute (on the wire: gaps below `seq`). */
export interface LaneNumbers {
  readonly epoch: string
  /** Number of the first message; message i has `seq + i`. */
  readonly seq: number
  /** The lowest number that may still come. */
  readonly floor: number
  /** The lowest number not yet confirmed when this was sealed. */
  readonly open: number
}

/** The last number of the epoch that this one follows. */
export interface Predecessor {
  readonly epoch: string
  readonly lastSeq: number
}

/** `domain/address`: the key of maps and the word of logs. */
export function partyKey(party: Party): string {
  return `${party.domain}/${party.address}`
}
