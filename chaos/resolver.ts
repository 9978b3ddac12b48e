/** What host names mean to this process: as DNS would say, or as it goes wrong. */
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'

/**
 * | answer | a look-up |
 * | --- | --- |
 * | `real` | is as it is |
 * | `failing` | fails: the name is not known |
 * | `moved` | gives an address at which nothing listens before the real ones |
 */
export type Names = 'real' | 'failing' | 'moved'

/** Loopback, and nobody's: nodes listen on 127.0.0.1. */
const NOBODY = { address: '127.86.86.86', family: 4 }

const real = dns.promises.lookup
let answer: Names = 'real'
let loopback: readonly string[] = []

/** Look-ups from now on go wrong in this way. */
export function answerNames(names: Names): void {
  answer = names
  install()
}

/** Takes these hosts for loopback from now on: links to them listen there, and their certificates name them. */
export function takeForLoopback(hosts: readonly string[]): void {
  if (hosts.length === 0) return
  loopback = hosts
  install()
}

/** n.b. an ES module's import of a built-in follows only when it is told to. */
function install(): void {
  Object.assign(dns.promises, { lookup })
  syncBuiltinESMExports()
}

async function lookup(host: string, options: dns.LookupOptions = {}): Promise<unknown> {
  if (answer === 'failing')
    throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND', hostname: host })
  const found = await real(loopback.includes(host) ? '127.0.0.1' : host, options)
  if (answer !== 'moved') return found
  return Array.isArray(found) ? [NOBODY, ...(found as readonly dns.LookupAddress[])] : NOBODY
}
