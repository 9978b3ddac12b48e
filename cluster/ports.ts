/**
 * Loopback ports for a cluster: a block of 16, kept from its start to its `down`, so that a killed node finds its
 * own port again. Blocks lie below the range from which systems take ports for outgoing connections. Clusters
 * reserve by a file made with O_EXCL; against other programs each port is tried before use.
 */

import { randomInt } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SealbusError } from '../src/errors.js'

const FIRST_PORT = 16_384
const BLOCK_PORTS = 16
const BLOCKS = 900 // up to port 30 784; outgoing connections start at 32 768 on Linux
const ABANDONED_MS = 5 * 60_000 // a reservation without a cluster's folder is nobody's after this

/** Most nodes that a block of ports holds: one for epmd, two each. */
export const MAX_NODES = 7

/** Ports of one cluster; node `i` has `nodes[i]`. */
export interface ClusterPorts {
  /** First port of the block; names the reservation. */
  readonly block: number
  readonly epmd: number
  readonly nodes: readonly { readonly amqps: number; readonly distribution: number }[]
}

/**
 * Reserves a block whose ports are free now.
 *
 * @param owner - the cluster's folder; the reservation holds while `owner/cluster.json` exists
 * @param preferred - first port of the block to try first (the one of last time)
 * @throws {@link SealbusError} `configuration` when no block is free
 */
export async function reservePorts(owner: string, count: number, preferred?: number): Promise<ClusterPorts> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const block =
      attempt === 0 && preferred !== undefined ? preferred : FIRST_PORT + BLOCK_PORTS * randomInt(BLOCKS)
    if (!reserve(block, owner)) continue
    const ports = layOut(block, count)
    if (await allFree(ports)) return ports
    releasePorts(block)
  }
  throw new SealbusError(
    'configuration',
    `found no free block of ${BLOCK_PORTS} ports on 127.0.0.1 from ${FIRST_PORT} to ${FIRST_PORT + BLOCKS * BLOCK_PORTS}; end clusters ` +
      `that are not needed (sealbus cluster down), or delete ${reservations()}`,
  )
}

/** Gives a block back. */
export function releasePorts(block: number): void {
  rmSync(join(reservations(), String(block)), { force: true })
}

function layOut(block: number, count: number): ClusterPorts {
  const node = (i: number): { amqps: number; distribution: number } => ({
    amqps: block + 1 + i,
    distribution: block + 1 + MAX_NODES + i,
  })
  return { block, epmd: block, nodes: Array.from({ length: count }, (_, i) => node(i)) }
}

/** One folder for all users of the machine, like /tmp itself. */
function reservations(): string {
  const folder = join(tmpdir(), 'sealbus-ports')
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true })
    chmodSync(folder, 0o1777)
  }
  return folder
}

function reserve(block: number, owner: string): boolean {
  const file = join(reservations(), String(block))
  try {
    if (isAbandoned(file, owner)) rmSync(file, { force: true })
    writeFileSync(file, owner, { flag: 'wx', mode: 0o644 })
    return true
  } catch {
    return false // somebody else's
  }
}

function isAbandoned(file: string, owner: string): boolean {
  if (!existsSync(file)) return false
  const folder = readFileSync(file, 'utf8')
  if (folder === owner) return true
  return !existsSync(join(folder, 'cluster.json')) && Date.now() - statSync(file).mtimeMs > ABANDONED_MS
}

async function allFree(ports: ClusterPorts): Promise<boolean> {
  const wanted = [ports.epmd, ...ports.nodes.flatMap(node => [node.amqps, node.distribution])]
  const free = await Promise.all(wanted.map(isFree))
  return free.every(Boolean)
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}
