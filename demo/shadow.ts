/**
 * What the operator of the broker sees. The broker's administrator binds a queue of its own to every message; at the end
 * its bodies are searched for everything that was sent. n.b. `basic.get` would be refused on the inboxes themselves
 * (single active consumer), and taking messages out of them would disturb the run.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Cluster } from '../cluster/index.js'
import { VHOST } from '../cluster/index.js'
import { generateIdentityKey, issueCertificate } from '../pki/certificate.js'
import type { Pki } from '../pki/index.js'
import { PROFILES } from '../pki/profiles.js'
import { type ChannelModel, openModel, type TlsMaterial } from '../src/transport/amqp.js'

const OPERATOR = 'broker-operator'
const QUEUE = 'shadow'
const READ_LIMIT_MS = 30_000

/** The administrator's eyes. */
export interface Shadow {
  /** Every body that was routed since the queue was bound. */
  captured(): Promise<Uint8Array[]>
}

/** Makes an administrator, and binds the shadow queue to both exchanges with `#`. */
export async function castShadow(cluster: Cluster, pki: Pki): Promise<Shadow> {
  const tls = operatorTls(pki)
  await cluster.ctl(['add_user', OPERATOR, crypto.randomUUID()])
  await cluster.ctl(['set_user_tags', OPERATOR, 'administrator'])
  await cluster.ctl(['set_permissions', '-p', VHOST, OPERATOR, '.*', '.*', '.*'])
  await withModel(cluster, tls, async model => {
    const channel = await model.createChannel()
    await channel.assertQueue(QUEUE, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    for (const exchange of ['sealbus', 'sealbus.parked']) await channel.bindQueue(QUEUE, exchange, '#')
  })
  return { captured: () => withModel(cluster, tls, drain) }
}

/** A certificate that the broker believes, for an operator who is no party of the bus. */
function operatorTls(pki: Pki): TlsMaterial {
  const { publicKey, privateKey } = generateIdentityKey()
  const subject = { commonName: OPERATOR, organizationalUnit: 'operator' }
  const issuer = pki.authority('issuing')
  const leaf = issueCertificate({ profile: PROFILES.device, subject, publicKey, nowMs: pki.now() }, issuer)
  return {
    ca: readFileSync(pki.layout.brokerRoot),
    cert: leaf.toString() + issuer.certificate.toString(),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
}

/** The first node that answers, for the time of `use`. */
async function withModel<T>(
  cluster: Cluster,
  tls: TlsMaterial,
  use: (model: ChannelModel) => Promise<T>,
): Promise<T> {
  const node = cluster.nodes.find(each => each.pid !== undefined)
  if (!node) throw new Error('no node of the cluster runs')
  const { model } = openModel({
    host: 'localhost',
    address: '127.0.0.1',
    port: node.port,
    vhost: VHOST,
    tls,
    heartbeatSeconds: 10,
    connectionName: OPERATOR,
  })
  const opened = await model
  opened.on('error', () => undefined)
  try {
    return await use(opened)
  } finally {
    await opened.close()
  }
}

async function drain(model: ChannelModel): Promise<Uint8Array[]> {
  const channel = await model.createChannel()
  const { messageCount } = await channel.checkQueue(QUEUE)
  const bodies: Uint8Array[] = []
  const signal = AbortSignal.timeout(READ_LIMIT_MS)
  const done = new EventTarget()
  await channel.consume(
    QUEUE,
    message => {
      if (message) bodies.push(message.content)
      if (bodies.length >= messageCount) done.dispatchEvent(new Event('done'))
    },
    { noAck: true },
  )
  if (bodies.length < messageCount) await once(done, 'done', { signal })
  return bodies
}
