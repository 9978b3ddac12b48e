/** amqp-connection-manager as its README shows it: all nodes, one channel wrapper to publish and one to consume. */
import amqp from 'amqp-connection-manager'
import { QUORUM, withUser } from './common.mjs'

/** @type {import('../peer.ts').ConnectPeer} */
export async function connect(options) {
  const { brokers, inbox, others, prefetch, log } = options
  const urls = brokers.map(broker => withUser(broker, options))
  const connection = amqp.connect(urls, { connectionOptions: options.tls })
  connection.on('connect', () => log('connected', ''))
  connection.on('disconnect', ({ err }) => log('disconnected', err.message))
  connection.on('connectFailed', ({ err }) => log('connect-failed', err.message))
  const assertQueues = channel =>
    Promise.all([inbox, ...others].map(queue => channel.assertQueue(queue, QUORUM)))
  const publishing = connection.createChannel({ setup: assertQueues })
  publishing.on('error', error => log('channel-error', error.message))
  await publishing.waitForConnect()
  let consuming
  return {
    send: async (queue, body) => {
      await publishing.sendToQueue(queue, body, { persistent: true, mandatory: true })
    },
    async consume(handle) {
      const setup = async channel => {
        await assertQueues(channel)
        await channel.prefetch(prefetch)
        await channel.consume(inbox, message => {
          if (message !== null) void handle(message.content).then(() => consuming.ack(message))
        })
      }
      consuming = connection.createChannel({ setup })
      consuming.on('error', error => log('channel-error', error.message))
      await consuming.waitForConnect()
    },
    close: () => connection.close(),
  }
}
