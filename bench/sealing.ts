/**
 * What sealing costs, beside libsodium's sealed box with a detached signature, in the same run:
 * `npm run bench -- sealing [--json FILE] [--rounds N]`. Rounds alternate (A B A B …); figures are medians of rounds.
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
/** Of all contestants alike: after some 3 000 calls JavaScript and WebAssembly are both compiled for good. */
const WARM_UP_ROUNDS = 30

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
    options: { json: { type: 'string' }, rounds: { type: 'string', default: '31' } },
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
  const contestants = [enveloped(pair, one, 100), enveloped(pair, batch, 4), sealedBox(100)]
  const [single, perMessageInBatch64, sealedBoxAndSignature] = race(contestants, rounds)
  if (!single || !perMessageInBatch64 || !sealedBoxAndSignature)
    throw new Error('bench: three contestants expected')
  const times = (cost: Cost): number =>
    round((sealedBoxAndSignature.seal + sealedBoxAndSignature.open) / (cost.seal + cost.open))
  return {
    overheadBytes,
    microseconds: { single, perMessageInBatch64, sealedBoxAndSignature },
    timesFaster: { single: times(single), perMessageInBatch64: times(perMessageInBatch64) },
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

/** Microseconds of one unit, by contestant. */
function race(contestants: readonly Contestant[], rounds: number): Cost[] {
  const times = contestants.map(() => ({ seal: [] as number[], open: [] as number[] }))
  for (let i = 0; i < WARM_UP_ROUNDS + rounds; i++) {
    contestants.forEach((contestant, index) => {
      const sealed = contestant.seal()
      const seal = timed(contestant.seal, contestant.count)
      const open = timed(() => contestant.open(sealed), contestant.count)
      if (i < WARM_UP_ROUNDS) return
      times[index]?.seal.push(seal)
      times[index]?.open.push(open)
    })
  }
  return times.map(({ seal, open }) => ({ seal: round(median(seal)), open: round(median(open)) }))
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
