/**
 * The composition root: the one file that knows all layers. An identity folder and brokers become a secured {@link Bus}.
 */
import { resolve } from 'node:path'
import { type BrokerOptions, rabbitOptions } from './broker-options.js'
import type { Bus, Logger, Sender } from './bus.js'
import { startBus } from './bus-core.js'
import { fromHex } from './bytes.js'
import { type Clock, createClock } from './clock.js'
import { createOpener, type SessionOpener } from './crypto/opener.js'
import type { CardOffer } from './crypto/peers.js'
import { createSealer } from './crypto/sealer.js'
import type { Sealer } from './crypto/sealing.js'
import { sodiumReady } from './crypto/sodium.js'
import { SealbusError } from './errors.js'
import { type Emit, Events } from './events.js'
import { type LoadedFolder, loadIdentityFolder } from './identity-folder.js'
import { type OutboxOptions, outboxChoice } from './outbox-choice.js'
import { ParkedNotes } from './parked-notes.js'
import { keepNewCards, recall } from './recall.js'
import { ReplayFolder } from './replay-folder.js'
import { replayingTransport } from './replaying-transport.js'
import { type SeenOptions, seenChoice } from './seen-choice.js'
import { makeStateFolder } from './state-folder.js'
import { rabbitTransport } from './transport/rabbitmq.js'
import type { Transport } from './transport/transport.js'
import { Upkeep } from './upkeep.js'

/** What both ways to a secured bus have in common. Whatever is absent comes from the folder's config.json. */
export interface SecureOptions extends OutboxOptions, SeenOptions {
  /** Folder of the identity, as `sealbus pki` writes it: keys, certificate, cards, trust, policy, config. */
  readonly identity: string
  /** Folder of the state; made when it is not there. Default: the config's. */
  readonly state?: string
  /** pino's shape. Default: silent; events say the same. */
  readonly logger?: Logger
  /** Largest sealed body in bytes, 1 KiB..8 MiB. Default 1 MiB. */
  readonly bodyLimit?: number
  /** How often the folder is read again, for renewed certificates, cards and lists, ms, 1 000..86 400 000. Default 30 000. */
  readonly reloadMs?: number
}

export interface ConnectOptions extends SecureOptions, BrokerOptions {
  /** Instead of RabbitMQ: another transport, such as `memoryTransport`. */
  readonly transport?: Transport
  /**
   * For the first usable connection, ms; `Infinity` waits for ever. Default 30 000; 5 000 while we are refused. With
   * `outbox: 'file'`: `connect` resolves after it all the same, since messages can be stored; default 5 000, and 0 does not wait.
   */
  readonly startTimeoutMs?: number
  /** Gives up connecting. */
  readonly signal?: AbortSignal
}

const RELOAD_MS = 30_000

/**
 * Connects to the brokers; resolves with the first usable connection, and mends every later loss by itself. With
 * `outbox: 'file'` no broker is needed for it: see `startTimeoutMs`.
 * @throws SealbusError `identity`, `configuration`, `corrupt-store`, `store-failed`; `unauthorised`, `timeout` with the
 * reason of the last attempt; whatever aborted the signal
 */
export async function connect(options: ConnectOptions): Promise<Bus> {
  const { signal, startTimeoutMs, partition, seen } = options
  if (partition !== undefined && typeof seen !== 'object') throw unshared()
  const start = { ...(signal && { signal }), ...(startTimeoutMs !== undefined && { startTimeoutMs }) }
  const overRabbit = async (folder: LoadedFolder): Promise<Transport> =>
    rabbitTransport(await rabbitOptions(folder, options))
  return connectOver(options, folder => options.transport ?? overRabbit(folder), start)
}

/** A secured bus over the transport that `makeTransport` makes once the folder has been read. */
export async function connectOver(
  options: SecureOptions,
  makeTransport: (folder: LoadedFolder, state: string | undefined) => Transport | Promise<Transport>,
  start: { readonly signal?: AbortSignal; readonly startTimeoutMs?: number } = {},
): Promise<Bus> {
  checkIdentity(options)
  await sodiumReady()
  const reloadMs = checkReload(options.reloadMs ?? RELOAD_MS)
  const events = new Events(options.logger)
  const clock = createClock()
  const onWarning = (warning: string): void => events.emit('identity-warning', { warning, alarm: true })
  const folder = await loadIdentityFolder(options.identity, { now: () => clock.now(), onWarning })
  const state = options.state === undefined ? folder.statePath : resolve(options.state)
  const seen = seenChoice(options, { ...folder.config, name: `${folder.dir}/config.json` }, state)
  const outbox = outboxChoice(options, { ...folder.config, name: `${folder.dir}/config.json` }, state, clock)
  if (state !== undefined) {
    await makeStateFolder(state)
    await recall(folder, state, () => clock.now(), events.emit)
    keepNewCards(folder, state, events.emit)
  }
  const { sealer, opener } = sealing(options, folder, clock, events.emit)
  const carrier = await makeTransport(folder, state)
  const notes = state === undefined ? undefined : new ParkedNotes(state, events, () => clock.now())
  const transport =
    state === undefined ? carrier : replayingTransport(carrier, new ReplayFolder(state, events.emit))
  const upkeep = new Upkeep(folder, opener, clock, events.emit, state)
  await upkeep.keepRevocations()
  const bus = await startBus(
    {
      ...{
        transport,
        sealer,
        opener,
        events,
        clock,
        seen,
        policy: folder.policy,
        stillTrusted: (from: Sender) => stillTrusted(folder, clock, from),
        outbox,
      },
      lifetimeMs: folder.identity.card.lifetimeSeconds * 1000,
      onCard: (bytes, from) => tellCard(events.emit, folder.directory.offer(bytes, clock.now()), from),
      onClose: async () => {
        await upkeep.stop()
        await notes?.close()
      },
      hindrance: () => hindrance(folder, clock),
      ...(start.startTimeoutMs !== undefined && { startTimeoutMs: start.startTimeoutMs }),
    },
    start.signal,
  )
  upkeep.start(bus, reloadMs)
  return bus
}

function sealing(
  options: SecureOptions,
  { identity, trust, directory }: LoadedFolder,
  clock: Clock,
  emit: Emit,
): { sealer: Sealer; opener: SessionOpener } {
  const { bodyLimit } = options
  const shared = {
    identity,
    trust,
    directory,
    now: () => clock.now(),
    ...(bodyLimit !== undefined && { bodyLimit }),
  }
  const opener = createOpener({
    ...shared,
    onCard: (outcome, from) => tellCard(emit, outcome, from),
  })
  return { sealer: createSealer(shared), opener }
}

/** n.b. two cards with one counter: the party signs in two places, or its key is in other hands. */
function tellCard(emit: Emit, outcome: CardOffer | 'refused', from: Sender): void {
  emit('card', { outcome, from, alarm: outcome === 'conflict' })
}

/** n.b. a certificate that has ended, or was forgotten, is not found: what cannot be asked any more is not trusted. */
function stillTrusted({ trust }: LoadedFolder, clock: Clock, { fingerprint }: Sender): boolean {
  const nowMs = clock.now()
  const known = trust.find(fromHex(fingerprint.slice(0, 16)), nowMs)
  const certificate = known.find(each => each.fingerprint === fingerprint)
  return certificate !== undefined && trust.revocation(certificate, nowMs) !== 'revoked'
}

/** n.b. others refuse us, or we them: better known from the status than from what does not arrive. */
function hindrance({ trust, identity }: LoadedFolder, clock: Clock): Error | undefined {
  const state = trust.revocation(identity.certificate, clock.now())
  if (state === 'stale') {
    const message =
      'the revocation list is older than its maximum age: run sealbus pki refresh and deliver the new revoked.cbor'
    return new SealbusError('revocation-stale', message)
  }
  if (state !== 'revoked') return undefined
  return new SealbusError(
    'untrusted',
    'our own certificate is on the revocation list: enrol this device anew',
  )
}

function checkIdentity(options: SecureOptions): void {
  const { identity } = (options as SecureOptions | undefined) ?? {}
  if (typeof identity === 'string') return
  throw new TypeError(`identity: expected the path of an identity folder, got ${typeof identity}`)
}

function unshared(): SealbusError {
  const message =
    'partition: other workers may go on where we were: needs a seen store that they share, such as sharedSeen() or postgresSeen()'
  return new SealbusError('configuration', message)
}

function checkReload(ms: number): number {
  if (Number.isInteger(ms) && ms >= 1_000 && ms <= 86_400_000) return ms
  throw new RangeError(`reloadMs: expected a whole number 1000..86400000, got ${ms}`)
}
