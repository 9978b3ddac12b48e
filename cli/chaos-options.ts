/** What `sealbus chaos run` is asked for, checked. */
import { existsSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Fault } from '../chaos/fault.js'
import { faultOf, QUICK, selectFaults, shippedFaults } from '../chaos/faults.js'
import { newSeed } from '../chaos/random.js'
import { readScriptFile } from '../chaos/read-script.js'
import { SOAK_MS } from '../chaos/soak-fault.js'
import { parseYaml, plain } from '../chaos/yaml.js'

export interface Settings {
  readonly faults: readonly Fault[]
  readonly repeat: number
  readonly durationMs: number | undefined
  readonly soakMs: number
  readonly json: string | undefined
  readonly junit: string | undefined
  readonly html: string | undefined
  readonly seed: string
  /** Folder of a running cluster. */
  readonly cluster: string | undefined
  /** Of a cluster elsewhere. */
  readonly brokers: readonly string[]
  readonly identity: string | undefined
  readonly drivers: readonly string[]
  readonly driverConfig: { readonly file: string; readonly content: unknown } | undefined
  readonly rate: number
  readonly keep: boolean
  /** To type again, without the seed. */
  readonly command: string
}

const OPTIONS = {
  faults: { type: 'string' },
  all: { type: 'boolean', default: false },
  quick: { type: 'boolean', default: false },
  repeat: { type: 'string', default: '1' },
  duration: { type: 'string' },
  soak: { type: 'string', default: String(SOAK_MS / 1_000) },
  json: { type: 'string' },
  junit: { type: 'string' },
  html: { type: 'string' },
  seed: { type: 'string' },
  cluster: { type: 'string' },
  brokers: { type: 'string' },
  identity: { type: 'string' },
  driver: { type: 'string' },
  'driver-config': { type: 'string' },
  rate: { type: 'string', default: '25' },
  keep: { type: 'boolean', default: false },
} as const

/**
 * @throws RangeError for a value out of its range; TypeError (of node:util) for an option that there is not; SealbusError
 * `configuration` for a file that is wrong
 */
export function parseSettings(args: string[]): Settings {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true })
  const { brokers, identity, cluster } = values
  if ((brokers === undefined) !== (identity === undefined))
    throw new RangeError(
      '--brokers and --identity belong together: where the cluster is, and whose devices take part',
    )
  if (brokers !== undefined && cluster !== undefined)
    throw new RangeError(
      '--cluster is a folder on this machine, --brokers a cluster elsewhere: give one of them',
    )
  const urls = brokers?.split(',').map(brokerUrl) ?? []
  return {
    faults: chosen(values, positionals),
    repeat: whole('--repeat', values.repeat, 1, 1_000),
    durationMs:
      values.duration === undefined ? undefined : 1_000 * whole('--duration', values.duration, 1, 604_800),
    soakMs: 1_000 * whole('--soak', values.soak, 10, 604_800),
    ...{ json: values.json, junit: values.junit, html: values.html },
    seed: values.seed ?? newSeed(),
    ...{ cluster, identity, brokers: urls },
    drivers: (values.driver ?? (urls.length > 0 ? 'proxy' : 'local')).split(',').map(each => each.trim()),
    driverConfig: configOf(values['driver-config']),
    rate: whole('--rate', values.rate, 5, 200),
    keep: values.keep,
    command: `sealbus chaos run ${withoutSeed(args).join(' ')}`.trim(),
  }
}

/** Files, rows, the quick set, or all there are; those that are named more than once count once. */
function chosen(
  { faults, all, quick }: { faults?: string | undefined; all: boolean; quick: boolean },
  files: readonly string[],
): Fault[] {
  const missing = files.find(file => !existsSync(file))
  if (missing !== undefined)
    throw new RangeError(`${missing}: no such scenario file; rows are chosen with --faults`)
  const ids = faults?.split(',').map(id => id.trim()) ?? []
  const named = [
    ...selectFaults(quick ? [...QUICK, ...ids] : ids),
    ...files.map(file => faultOf(readScriptFile(file))),
  ]
  return all || named.length === 0 ? [...new Set([...shippedFaults(), ...named])] : named
}

function configOf(file: string | undefined): Settings['driverConfig'] {
  return file === undefined
    ? undefined
    : { file, content: plain(parseYaml(readFileSync(file, 'utf8'), file)) }
}

function brokerUrl(text: string): string {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined
  if (url?.protocol === 'amqps:' && url.hostname !== '') return text.trim()
  throw new RangeError(`--brokers: expected amqps://host:port,amqps://host:port,…, got ${text}`)
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new RangeError(`${name}: expected a whole number from ${min} to ${max}, got ${text}`)
}

function withoutSeed(args: readonly string[]): string[] {
  return args.filter((arg, i) => !arg.startsWith('--seed') && args[i - 1] !== '--seed')
}
