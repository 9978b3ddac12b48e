/** rascal as its README shows it: its default configuration, all nodes, a publication per queue, one subscription. */
import rascal from 'rascal'
import { QUORUM, withUser } from './common.mjs'

/** @type {import('../peer.ts').ConnectPeer} */
export async function connect(options) {
  const { brokers, vhost, tls, inbox, others, prefetch, log } = options
  const queues = [inbox, ...others]
  const broker = await rascal.BrokerAsPromised.create(
    rascal.withDefaultConfig({
      vhosts: {
        [vhost]: {
          connections: brokers.map(url => ({ url: withUser(url, options), socketOptions: tls })),
          queues: Object.fromEntries(queues.map(queue => [queue, { options: QUORUM }])),
        },
      },
      publications: Object.fromEntries(queues.map(queue => [queue, { vhost, queue }])),
      subscriptions: { inbox: { vhost, queue: inbox, prefetch } },
    }),
  )
  broker.on('error', error => log('broker-error', error.message))
  broker.on('connect', () => log('connected', ''))
  broker.on('disconnect', () => log('disconnected', ''))
  return {
    async send(queue, body) {
      const publication = await broker.publish(queue, body)
      await new Promise((resolve, reject) => {
        publication.on('success', () => resolve()).on('error', reject)
        publication.on('return', () => log('returned', queue))
      })
    },
    async consume(handle) {
      const subscription = await broker.subscribe('inbox')
      subscription
        .on('message', (_message, content, ackOrNack) => {
          void handle(content).then(() => ackOrNack())
        })
        .on('error', error => log('subscription-error', error.message))
    },
    close: () => broker.shutdown(),
  }
}
