/** `sealbus bench NAME`: measurements that anybody can run again. */

interface Bench {
  readonly summary: string
  readonly load: () => Promise<{ run(argv: string[]): Promise<number> }>
}

const BENCHES: Readonly<Record<string, Bench>> = {
  sealing: {
    summary: 'bytes and microseconds of the envelope, beside libsodium in the same run',
    load: () => import('../bench/sealing.js'),
  },
  outbox: {
    summary: 'two ways to keep envelopes on disk: throughput, bytes written, kills, restart',
    load: () => import('../bench/outbox.js'),
  },
  backlog: {
    summary: '100 MB that waited for the broker, and the commands that are sent while they drain',
    load: () => import('../bench/backlog.js'),
  },
  kills: {
    summary: 'a publisher with an outbox on disk, killed at random moments',
    load: () => import('../bench/kills.js'),
  },
  peers: {
    summary:
      'sealbus beside four libraries under faults 2, 8, 9 and 13; installs them (npm ci in bench/peers)',
    load: () => import('../bench/peers.js'),
  },
}

/** @returns the exit code */
export async function run(argv: string[]): Promise<number> {
  const [name = '--help', ...rest] = argv
  const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined
  if (bench !== undefined) return (await bench.load()).run(rest)
  const rows = Object.entries(BENCHES).map(([each, { summary }]) => `  ${each.padEnd(9)}${summary}`)
  process.stdout.write(`usage: sealbus bench NAME [--json FILE]\n\n${rows.join('\n')}\n`)
  return name === '--help' || name === '-h' ? 0 : 2
}
