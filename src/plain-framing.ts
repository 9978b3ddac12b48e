/**
 * Bodies of the plain bus: the same content as an envelope's, neither sealed nor signed, behind a magic of its own so
 * that no secured bus can take one for an envelope. It obeys the seams of sealing, so that a plain bus is delivered,
 * ordered and deduplicated by the same code. Nothing in it is authenticated.
 *
 * ```text
 * plain = "sealbus plain 1\n" ‖ lp(domain) ‖ lp(address) ‖ content      content as in docs/PROTOCOL.md, certId all zero
 * ```
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Party, Sender } from './bus.js'
import { concat, equal, lp, utf8 } from './bytes.js'
import { CERT_ID_BYTES, contentOverhead, encodeContent, parseHead, parseMessages } from './codec/content.js'
import { messageSize } from './codec/message.js'
import type {
  Opened,
  Opener,
  OpenResult,
  Recipient,
  SealedEnvelope,
  Sealer,
  SealRequest,
} from './crypto/sealing.js'
import { asError, SealbusError } from './errors.js'
import { DEFAULT_BODY_LIMIT, DEFAULT_LIFETIME_S } from './wire.js'

const MAGIC = utf8('sealbus plain 1\n')
const NO_CERTIFICATE = new Uint8Array(CERT_ID_BYTES)
const NAMES_SIZE = 130

/** Frames instead of sealing; every address is a recipient. */
export function createPlainSealer(self: Party): Sealer {
  const names = concat(lp(self.domain), lp(self.address))
  return {
    self: plainSender(self),
    notAfterMs: Number.MAX_SAFE_INTEGER,
    bodyLimit: DEFAULT_BODY_LIMIT,
    recipient: to => plainRecipient(to),
    size: messageSize,
    overhead: () => MAGIC.length + NAMES_SIZE + contentOverhead({}),
    seal: request => frame(request, names),
  }
}

function plainSender(party: Party): Sender {
  return { ...party, role: '', fingerprint: '' }
}

function plainRecipient(to: Party): Recipient {
  return {
    ...to,
    role: '',
    lifetimeSeconds: DEFAULT_LIFETIME_S,
    notAfterMs: Number.MAX_SAFE_INTEGER,
    inbox: 'quorum',
  }
}

function frame(request: SealRequest, names: Uint8Array): SealedEnvelope {
  const { messages, epoch, seq, floor, open, predecessor } = request
  const createdAtMs =
    messages.length === 0 ? Date.now() : Math.min(...messages.map(message => message.createdAtMs))
  const ttlSeconds = messages[0]?.ttlSeconds ?? DEFAULT_LIFETIME_S
  const head = { certId: NO_CERTIFICATE, epoch, seq, floor, open, createdAtMs, ttlSeconds }
  const content = encodeContent({
    head: predecessor === undefined ? head : { ...head, predecessor },
    messages,
  })
  const body = concat(MAGIC, names, content)
  if (body.length > DEFAULT_BODY_LIMIT) {
    throw new SealbusError(
      'payload-too-large',
      `expected a body of at most ${DEFAULT_BODY_LIMIT} bytes, got ${body.length}: send less at once`,
    )
  }
  return { id: randomBytes(16).toString('hex'), body, contentHash: hashOf(content) }
}

function hashOf(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** Reads what {@link createPlainSealer} framed. */
export function createPlainOpener(): Opener {
  return { open: unframe }
}

function unframe(body: Uint8Array): OpenResult {
  if (!equal(body.subarray(0, MAGIC.length), MAGIC)) {
    return {
      ok: false,
      reason: 'not-an-envelope',
      detail: 'expected a plain sealbus body; is the sender secured?',
    }
  }
  try {
    return parse(body)
  } catch (error) {
    return { ok: false, reason: 'malformed', detail: asError(error).message }
  }
}

function parse(body: Uint8Array): Opened {
  const [domain, afterDomain] = readLp(body, MAGIC.length)
  const [address, contentAt] = readLp(body, afterDomain)
  const content = body.subarray(contentAt)
  const { head, messagesAt } = parseHead(content)
  const contentHash = hashOf(content)
  return {
    ok: true,
    from: plainSender({ domain, address }),
    envelopeId: contentHash.slice(0, 32),
    contentHash,
    epoch: head.epoch,
    seq: head.seq,
    floor: head.floor,
    open: head.open,
    createdAtMs: head.createdAtMs,
    messages: parseMessages(content, messagesAt, head),
    ...(head.predecessor === undefined ? {} : { predecessor: head.predecessor }),
  }
}

function readLp(body: Uint8Array, at: number): [string, number] {
  const end = at + 1 + (body[at] ?? 0)
  const text = toAscii(body.subarray(at + 1, end))
  if (end > body.length || !/^[A-Za-z0-9._-]{1,64}$/.test(text))
    throw new RangeError('expected a party of 1..64 characters')
  return [text, end]
}

function toAscii(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}
