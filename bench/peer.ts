/** What a library is measured by: each `peers/NAME.mjs` exports one `connect` of this shape. Contract only. */

/** One party's way to the brokers, and its queues. */
export interface PeerOptions {
  /** `amqps://localhost:PORT` of each node. */
  readonly brokers: readonly string[]
  /** One address that leads to whichever node accepts connections: for a library that takes one URL. */
  readonly balancer: string
  readonly user: string
  readonly password: string
  readonly vhost: string
  /** PEM: the broker's root, a client's certificate and key. */
  readonly tls: { readonly ca?: string; readonly cert: string; readonly key: string }
  /** The party's own queue, and those that it sends to. Quorum queues. */
  readonly inbox: string
  readonly others: readonly string[]
  readonly prefetch: number
  /** A line for the ledger. */
  readonly log: (event: string, detail: string) => void
}

/** A connected party. */
export interface Peer {
  /** Resolves once the broker has confirmed. @throws Error when the library says that it failed */
  send(queue: string, body: Buffer): Promise<void>
  /** Calls back for each message; acknowledges once the promise has resolved. */
  consume(handle: (body: Buffer) => Promise<void>): Promise<void>
  close(): Promise<void>
}

export type ConnectPeer = (options: PeerOptions) => Promise<Peer>

/** What a process of a peer's load is started with, as JSON. */
export interface PeerSetting {
  /** Name of the module in peers/. */
  readonly library: string
  /** Absolute. */
  readonly folder: string
  readonly balancer: string
  readonly user: string
  readonly password: string
  readonly vhost: string
}

/** The queue of a party, in the hands of a library. */
export function peerQueue(library: string, address: string): string {
  return `peer.${library}.${address}`
}
