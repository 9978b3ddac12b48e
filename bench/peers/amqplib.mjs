/**
 * amqplib with its own recovery, as its README shows it: topology and consumers in `setup`, run at every connect; a confirm
 * channel. It takes one URL, so it is given a balancer before the nodes.
 */
import amqplib from 'amqplib'
import { QUORUM, withUser } from './common.mjs'

/** @type {import('../peer.ts').ConnectPeer} */
export async function connect(options) {
  const { inbox, others, prefetch, log } = options
  let publishing
  let handle
  const consume = async channel => {
    await channel.prefetch(prefetch)
    await channel.consume(inbox, message => {
      if (message !== null) void handle(message.content).then(() => channel.ack(message))
    })
  }
  const setup = async model => {
    const channel = await model.createConfirmChannel()
    channel.on('error', error => log('channel-error', error.message))
    for (const queue of [inbox, ...others]) await channel.assertQueue(queue, QUORUM)
    publishing = channel
    if (handle !== undefined) await consume(channel)
  }
  const recovery = { initialDelay: 200, maxDelay: 5000, factor: 2, jitter: 0.2, maxRetries: Infinity, setup }
  const connection = await amqplib.connect(withUser(options.balancer, options), { ...options.tls, recovery })
  connection.on('error', error => log('connection-error', error.message))
  connection.on('connect', () => log('connected', ''))
  connection.on('disconnect', error => log('disconnected', String(error?.message)))
  return {
    send: (queue, body) =>
      new Promise((resolve, reject) => {
        publishing.sendToQueue(queue, body, { persistent: true, mandatory: true }, error =>
          error ? reject(error) : resolve(),
        )
      }),
    async consume(callback) {
      handle = callback
      await consume(publishing)
    },
    close: () => connection.close(),
  }
}
