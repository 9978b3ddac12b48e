/** What a cluster is asked for. */

import type { NetworkNumber } from './network.js'

/** PEM files of the broker. */
export interface BrokerTls {
  /** Roots that client certificates are checked against. */
  readonly clientCaFile: string
  /** The broker's certificate for `localhost` and `127.0.0.1`, followed by its intermediates. */
  readonly certFile: string
  readonly keyFile: string
}

export interface ClusterOptions {
  /** How many nodes, 1 to 7. Default 3. */
  readonly nodes?: number
  /** Default `dev`. */
  readonly name?: string
  /** The cluster's folder. Default `.sealbus/clusters/NAME` below the current folder. */
  readonly dir?: string
  readonly tls: BrokerTls
  /** A definitions file to import once all nodes are there. */
  readonly definitions?: string
  /** The PKI folder, to be remembered in the state. */
  readonly pki?: string
  /** Each node in a network namespace of its own (network.ts): needs root. The certificate must name the nodes' addresses. */
  readonly network?: NetworkNumber
  /** The cluster ends at the latest when this process ends in an orderly way. Default false. */
  readonly ephemeral?: boolean
  /** Hears a line for each step. */
  readonly onProgress?: (line: string) => void
}
