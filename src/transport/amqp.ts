/**
 * The one importer of amqplib (AMQP 0-9-1, https://www.rabbitmq.com/amqp-0-9-1-reference.html). Plain `connect`, never
 * its `recovery`: that takes one URL, resends nothing and hangs in `close()` on a dead link.
 */
import type net from 'node:net'
import { type ChannelModel, connect, credentials } from 'amqplib'
import { captureSocket } from './socket.js'

export type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage } from 'amqplib'

/** What a client shows to prove who it is over TLS, PEM. */
export interface TlsMaterial {
  /** The broker's CA, and no other, is trusted. */
  readonly ca: string | Uint8Array
  /** Client certificate, then its intermediates. */
  readonly cert?: string | Uint8Array
  readonly key?: string | Uint8Array
  /** The name that the broker's certificate must bear, where it is not the URL's host. */
  readonly servername?: string
}

/** One attempt at one address. */
export interface AmqpTarget {
  readonly host: string
  readonly address: string
  readonly port: number
  readonly vhost: string
  /** Absent: plaintext. */
  readonly tls?: TlsMaterial | undefined
  /** Absent: EXTERNAL, the TLS certificate says who we are. */
  readonly credentials?: { readonly user: string; readonly password: string } | undefined
  readonly heartbeatSeconds: number
  /** Shown to the broker's operator. */
  readonly connectionName: string
}

/** Largest frame that we accept, and offer. */
const FRAME_MAX = 131_072 // 128 KiB, RabbitMQ's own default

/** Starts one attempt; the caller owns the socket and its deadline. */
export function openModel(target: AmqpTarget): { model: Promise<ChannelModel>; socket: net.Socket } {
  const { result, socket } = captureSocket(() => connect(url(target), socketOptions(target)))
  return { model: result, socket }
}

function url(target: AmqpTarget): Parameters<typeof connect>[0] {
  return {
    protocol: target.tls === undefined ? 'amqp' : 'amqps',
    hostname: target.address,
    port: target.port,
    vhost: encodeURIComponent(target.vhost), // n.b. amqplib unescapes it
    heartbeat: target.heartbeatSeconds,
    frameMax: FRAME_MAX,
    maxFrameSize: FRAME_MAX,
  }
}

function socketOptions(target: AmqpTarget): Parameters<typeof connect>[1] {
  const { user, password } = target.credentials ?? {}
  return {
    noDelay: true, // n.b. with Nagle's algorithm small publishes wait for the peer's delayed ACK
    credentials:
      user === undefined || password === undefined
        ? credentials.external()
        : credentials.plain(user, password),
    clientProperties: { connection_name: target.connectionName },
    ...(target.tls === undefined ? {} : tlsOptions(target, target.tls)),
  }
}

function tlsOptions(target: AmqpTarget, material: TlsMaterial): Record<string, unknown> {
  const { ca, cert, key, servername } = material
  return {
    ca: pem(ca),
    ...(cert === undefined ? {} : { cert: pem(cert) }),
    ...(key === undefined ? {} : { key: pem(key) }),
    // The name is checked against the broker's certificate; an address as host is checked as an address.
    ...(servername === undefined && target.host === target.address
      ? {}
      : { servername: servername ?? target.host }),
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  }
}

function pem(value: string | Uint8Array): string | Buffer {
  return typeof value === 'string' ? value : Buffer.from(value.buffer, value.byteOffset, value.length)
}
