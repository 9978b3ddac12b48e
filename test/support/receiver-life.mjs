/**
 * One life of a receiver, as a program: opens the state folder that it is given, gets the bodies that no former life has
 * acknowledged, and ends in order once all of them are. The message `kill` kills it. What happens is appended to files, so
 * that the next life and the test know it.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClock } from '../../dist/src/clock.js'
import { createFileSeen } from '../../dist/src/reliability/file-seen.js'
import { createReceiver } from '../../dist/src/reliability/receiver.js'

const [directory] = process.argv.slice(2)
const { bodies } = JSON.parse(readFileSync(join(directory, 'bodies.json'), 'utf8'))
const say = (file, line) => appendFileSync(join(directory, file), `${line}\n`)
const acked = existsSync(join(directory, 'acked'))
  ? new Set(readFileSync(join(directory, 'acked'), 'utf8').trim().split('\n').map(Number))
  : new Set()

const opener = {
  open(body) {
    const opened = JSON.parse(Buffer.from(body).toString('utf8'))
    const messages = opened.texts.map(text => ({
      type: 'report',
      payload: Buffer.from(text),
      createdAtMs: opened.createdAtMs,
      ttlSeconds: 3600,
      contentType: 'text/plain',
      receiptWanted: false,
      request: false,
    }))
    return { ok: true, ...opened, messages }
  },
}

const transport = {
  consume(onDelivery) {
    setImmediate(() => {
      for (const [index, body] of bodies.entries()) if (!acked.has(index)) onDelivery(deliveryOf(index, body))
    })
    return Promise.resolve({ stop: () => Promise.resolve(), addCredit: () => false })
  },
}

function deliveryOf(index, body) {
  const ack = () => {
    acked.add(index)
    say('acked', index)
    return true
  }
  return { body: Buffer.from(body), redelivered: false, claimedFrom: undefined, token: String(index), ack }
}

const receiver = createReceiver({
  ...{ transport, opener, self: { domain: 'field', address: 'tso' }, prefetch: 100, clock: createClock() },
  seen: createFileSeen({ directory: join(directory, 'state') }),
  emit: (event, detail) => say('events', JSON.stringify({ event, ...detail })),
  park: ({ index, messageId }) => {
    say('parked', JSON.stringify({ index, messageId }))
    return Promise.resolve()
  },
  reply: () => Promise.reject(new Error('nobody asks here')),
  receipt: () => undefined,
  onReceipt: () => false,
  onCard: () => undefined,
})

let running = 0
await receiver.start(async delivery => {
  const text = delivery.text()
  running += 1
  say('begun', `${text} ${running}`)
  await new Promise(resolve => setTimeout(resolve, 2))
  if (text === 'kill') process.kill(process.pid, 'SIGKILL')
  say('handled', text)
  running -= 1
})
while (acked.size < bodies.length) await new Promise(resolve => setTimeout(resolve, 5))
await receiver.stop()
