/** `sealbus parked …`: what a receiver could not handle, looked at by its own keys. A thin shell over what src keeps. */
import { parseArgs } from 'node:util'
import * as actions from './parked-actions.js'
import { EXIT } from './usage.js'

const HELP = `usage: sealbus parked COMMAND --identity DIR [--state DIR] [--local]

  list                       what is parked: id, time, reason, sender, types
  show ID [--payload]        everything about one; its contents only where they are asked for
  replay ID [--wait SECONDS] gives it to the process of this inbox once more, to be handled once
  delete ID…                 forgets it
  export (ID… | --all) --out DIR   writes the sealed bytes, and what is known of them, to files

  --identity DIR   the folder of the inbox's own identity: its keys open what is parked, its user may read it
  --state DIR      the state folder of its process (default as config.json says): reasons are there, replays go through it
  --local          only what is parked in the state folder, as on a wrapped bus; asks no broker
  --json           list and show as JSON
  --wait SECONDS   how long a replay waits for the outcome (default 10)

An ID is as list shows it, or its beginning, or the beginning of a message id from the log. The process may run meanwhile,
or not; a replay waits for it then. What was handled already is not handled again.
`

const OPTIONS = {
  identity: { type: 'string' },
  state: { type: 'string' },
  local: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  payload: { type: 'boolean', default: false },
  all: { type: 'boolean', default: false },
  out: { type: 'string' },
  wait: { type: 'string', default: '10' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

interface Command {
  readonly run: (request: actions.ParkedRequest) => Promise<number>
  /** How many ids it takes: at least, at most. */
  readonly ids: readonly [number, number]
}

const COMMANDS: Readonly<Record<string, Command>> = {
  list: { run: actions.list, ids: [0, 0] },
  show: { run: actions.show, ids: [1, 1] },
  replay: { run: actions.replay, ids: [1, 1] },
  delete: { run: actions.remove, ids: [1, Number.MAX_SAFE_INTEGER] },
  export: { run: actions.exportBodies, ids: [0, Number.MAX_SAFE_INTEGER] },
}

/** Runs one command. @param argv - what follows `sealbus parked` @returns the exit code */
export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true })
  const [name = '', ...ids] = positionals
  if (values.help || name === 'help') {
    process.stdout.write(HELP)
    return EXIT.done
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) return complain(`no command ${JSON.stringify(name)}`)
  const wrong = misuse(name, command, ids, values)
  if (wrong !== undefined) return complain(`${name}: ${wrong}`)
  const { identity = '', state, local, json, payload, all, out } = values
  const waitSeconds = Number(values.wait)
  return command.run({ identity, state, local, json, payload, all, out, waitSeconds, ids })
}

function misuse(
  name: string,
  { ids: [least, most] }: Command,
  ids: readonly string[],
  values: { identity?: string | undefined; all: boolean; out?: string | undefined; wait: string },
): string | undefined {
  if (values.identity === undefined) return '--identity DIR: expected, but not given'
  if (ids.length < least || ids.length > most)
    return `expected ${least === 0 ? 'no' : 'an'} id, got ${ids.length}`
  if (name === 'export' && values.out === undefined) return '--out DIR: expected, but not given'
  if (name === 'export' && values.all === ids.length > 0) return 'expected either ids or --all'
  if (!/^\d{1,6}$/.test(values.wait)) return `--wait: expected a whole number of seconds, got ${values.wait}`
  const vague = ids.find(id => !/^[0-9a-f]{4,32}(?:-\d{1,4})?$/.test(id))
  return vague === undefined
    ? undefined
    : `expected an id of at least 4 hex digits, got ${JSON.stringify(vague)}`
}

function complain(text: string): number {
  process.stderr.write(`sealbus parked: ${text}\n\n${HELP}`)
  return EXIT.usage
}
