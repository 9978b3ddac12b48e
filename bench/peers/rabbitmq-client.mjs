/** rabbitmq-client as its README shows it: one Publisher with confirms and retries, one Consumer. */
import { Connection } from 'rabbitmq-client'
import { QUORUM } from './common.mjs'

/** @type {import('../peer.ts').ConnectPeer} */
export async function connect(options) {
  const { brokers, user, password, vhost, tls, inbox, others, prefetch, log } = options
  const hosts = brokers.map(broker => new URL(broker).host)
  const connection = new Connection({ hosts, username: user, password, vhost, tls })
  connection.on('error', error => log('connection-error', error.message))
  connection.on('connection', () => log('connected', ''))
  const publisher = connection.createPublisher({
    confirm: true,
    maxAttempts: 2,
    queues: [inbox, ...others].map(queue => ({ queue, ...QUORUM })),
  })
  publisher.on('retry', error => log('retry', error.message))
  await connection.onConnect(20_000)
  let consumer
  return {
    send: (queue, body) => publisher.send({ routingKey: queue, durable: true, mandatory: true }, body),
    async consume(handle) {
      const qos = { prefetchCount: prefetch }
      consumer = connection.createConsumer({ queue: inbox, queueOptions: QUORUM, qos }, message =>
        handle(message.body),
      )
      consumer.on('error', error => log('consumer-error', error.message))
      await new Promise(resolve => consumer.once('ready', resolve))
    },
    async close() {
      await publisher.close()
      await consumer?.close()
      await connection.close()
    },
  }
}
