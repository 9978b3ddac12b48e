/**
 * What sealing costs, beside libsodium's sealed box with a detached signature, in the same run:
 * `npm run bench -- sealing [--json FILE] [--rounds N]`. A round takes some milliseconds: each contestant once and for about
 * as long as the others, the order rotating, so that whatever else the machine does meets all alike. Times are medians of
 * rounds, "times faster" is the median of the rounds' own ratios.
 */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import sodium from 'libsodium-wrappers'
import { concat } from '../src/bytes.js'
import { sodiumReady } from '../src/crypto/sodium.js'
import type { WireMessage } from '../src/wire.js'
import { createPair, type Pair } from './sealing-pair.js'

const PAYLOAD_BYTES = 200
const BATCH = 64
/** Of all contestants alike: after that JavaScript and WebAssembly are both compiled for good. */
const WARM_UP_ROUNDS = 150

export interface Cost {
  readonly seal: number
  readonly open: number
}

/** The file that `--json` writes. */
export interface SealingReport {
  readonly overheadBytes: { readonly single: number; readonly perMessageInBatch64: number }
  readonly microseconds: {
    readonly single: Cost
    readonly perMessageInBatch64: Cost
    readonly sealedBoxAndSignature: Cost
  }
  readonly timesFaster: { readonly single: number; readonly perMessageInBatch64: number }
}

/** One thing to be measured: `count` units of work in each of its two directions. */
interface Contestant {
  readonly count: number
  readonly seal: () => Uint8Array
  readonly open: (sealed: Uint8Array) => void
}

/** Runs the benchmark; 0 when the targets of docs/PROTOCOL.md are met, else 1. */
export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: { json: { type: 'string' }, rounds: { type: 'string', default: '300' } },
  })
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new RangeError(`--rounds: expected 1 or more, got ${values.rounds}`)
  await Promise.all([sodium.ready, sodiumReady()])
  const report = measure(createPair(), rounds)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  process.stdout.write(table(report))
  return met(report) ? 0 : 1
}

function measure(pair: Pair, rounds: number): SealingReport {
  const one = [message(pair)]
  const batch = Array.from({ length: BATCH }, () => message(pair))
  // n.b. before the race: its hundred thousand numbers would make the head longer
  const overheadBytes = {
    single: pair.seal(one).length - PAYLOAD_BYTES,
    perMessageInBatch64: round((pair.seal(batch).length - BATCH * PAYLOAD_BYTES) / BATCH),
  }
  const contestants = [enveloped(pair, one, 16), enveloped(pair, batch, 4), sealedBox(4)]
  const [single, share, box] = race(contestants, rounds)
  if (!single || !share || !box) throw new Error('bench: three contestants expected')
  return {
    overheadBytes,
    microseconds: {
      single: costOf(single),
      perMessageInBatch64: costOf(share),
      sealedBoxAndSignature: costOf(box),
    },
    timesFaster: { single: timesFaster(single, box), perMessageInBatch64: timesFaster(share, box) },
  }
}

function message(pair: Pair): WireMessage {
  return {
    type: 'report',
    payload: randomBytes(PAYLOAD_BYTES),
    createdAtMs: pair.nowMs,
    ttlSeconds: 86_400,
    contentType: 'application/json',
    receiptWanted: false,
    request: false,
  }
}

function enveloped(pair: Pair, messages: readonly WireMessage[], calls: number): Contestant {
  return {
    count: calls * messages.length,
    seal: () => repeat(calls, () => pair.seal(messages)),
    open: body => {
      repeat(calls, () => pair.open(body))
    },
  }
}

/** Sign, then seal signature and payload to the recipient; open, then verify. */
function sealedBox(calls: number): Contestant {
  const box = sodium.crypto_box_keypair()
  const sign = sodium.crypto_sign_keypair()
  const payload = randomBytes(PAYLOAD_BYTES)
  return {
    count: calls,
    seal: () =>
      repeat(calls, () =>
        sodium.crypto_box_seal(
          concat(sodium.crypto_sign_detached(payload, sign.privateKey), payload),
          box.publicKey,
        ),
      ),
    open: sealed => {
      repeat(calls, () => {
        const plain = sodium.crypto_box_seal_open(sealed, box.publicKey, box.privateKey)
        const right = sodium.crypto_sign_verify_detached(
          plain.subarray(0, 64),
          plain.subarray(64),
          sign.publicKey,
        )
        if (!right) throw new Error('bench: a signature did not verify')
      })
    },
  }
}

function repeat<T>(times: number, work: () => T): T {
  let result = work()
  for (let i = 1; i < times; i++) result = work()
  return result
}

/** Microseconds of one unit in each round, by contestant. */
function race(contestants: readonly Contestant[], rounds: number): Cost[][] {
  const costs = contestants.map((): Cost[] => [])
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
    for (let turn = 0; turn < contestants.length; turn++) {
      const index = (round + turn) % contestants.length
      const contestant = contestants[index]
      if (contestant !== undefined) costs[index]?.push(costOnce(contestant))
    }
  }
  return costs.map(each => each.slice(WARM_UP_ROUNDS))
}

function costOnce({ count, seal, open }: Contestant): Cost {
  let sealed: Uint8Array = new Uint8Array()
  const sealing = timed(() => {
    sealed = seal()
  }, count)
  return { seal: sealing, open: timed(() => open(sealed), count) }
}

function costOf(rounds: readonly Cost[]): Cost {
  return {
    seal: round(median(rounds.map(({ seal }) => seal))),
    open: round(median(rounds.map(({ open }) => open))),
  }
}

/** n.b. the ratio within each round, whose parts met the same machine. */
function timesFaster(rounds: readonly Cost[], than: readonly Cost[]): number {
  const total = (cost: Cost | undefined): number => (cost ? cost.seal + cost.open : Number.NaN)
  return round(median(rounds.map((cost, index) => total(than[index]) / total(cost))))
}

function timed(work: () => unknown, count: number): number {
  const start = process.hrtime.bigint()
  work()
  return Number(process.hrtime.bigint() - start) / 1000 / count
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function met({ overheadBytes, timesFaster }: SealingReport): boolean {
  const small = overheadBytes.single <= 192 && overheadBytes.perMessageInBatch64 <= 26
  return small && timesFaster.single >= 4 && timesFaster.perMessageInBatch64 >= 100
}

function table({ overheadBytes, microseconds, timesFaster }: SealingReport): string {
  const row = (name: string, cost: Cost, bytes: string, times: string): string =>
    `${name.padEnd(34)}${cost.seal.toFixed(1).padStart(9)}${cost.open.toFixed(1).padStart(9)}${bytes.padStart(10)}${times.padStart(9)}\n`
  return [
    `${`per message of ${PAYLOAD_BYTES} bytes`.padEnd(34)}  seal µs  open µs  overhead   faster\n`,
    row('sealed box, detached signature', microseconds.sealedBoxAndSignature, '112', '1.0'),
    row('envelope, one message', microseconds.single, `${overheadBytes.single}`, `${timesFaster.single}`),
    row(
      `envelope, a share of ${BATCH}`,
      microseconds.perMessageInBatch64,
      `${overheadBytes.perMessageInBatch64}`,
      `${timesFaster.perMessageInBatch64}`,
    ),
  ].join('')
}
