/** RabbitMQ from Debian's packages: finds out what is missing, says what would be run, asks where somebody can answer. */

import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { withLock } from './lock.mjs'
import { inRoot, say } from './root.mjs'
import { runProgram } from './run-program.mjs'

const LOCK = join(tmpdir(), 'sealbus-apt.lock')
/** For the tests that run the Python client. */
const PYTHON_PACKAGES = { pika: 'python3-pika', cryptography: 'python3-cryptography', cbor2: 'python3-cbor2' }
/** What Debian starts when it installs a package, by package. */
const SERVICES = {
  'rabbitmq-server': 'rabbitmq-server',
  'redis-server': 'redis-server',
  postgresql: 'postgresql',
}
/** Servers that some tests start themselves, and those tests. */
const SERVERS = [
  {
    name: 'redis-server',
    isThere: () => inPath('redis-server'),
    tests: ['shared-seen', 'partitions', 'workers'],
  },
  { name: 'postgresql', isThere: hasPostgres, tests: ['transactional-seen', 'workers'] },
]

/**
 * Installs what is missing where that is possible and wanted.
 *
 * | who calls                         | what happens                                               |
 * | root, no terminal                 | installs                                                   |
 * | a person at a terminal            | says what would be run and asks; `yes` skips the question  |
 * | not root, no terminal             | says what to run; `yes` lets it use sudo                   |
 *
 * @param {{ yes: boolean, forTests: boolean }} options - `forTests`: also the Python client's modules, Redis and PostgreSQL
 * @returns {Promise<boolean>} whether RabbitMQ is there afterwards
 */
export async function installRabbitmq({ yes, forTests }) {
  const missing = await missingPackages(forTests)
  if (missing.length === 0) return true
  if (!inPath('apt-get')) return await declined('RabbitMQ is not installed, and this system has no apt-get')
  const script = installScript(missing)
  if (!(await isWanted(script, yes, missing))) return await declined('nothing was installed')
  await withLock(LOCK, 'an installation with apt-get', async () => {
    const left = await missingPackages(forTests)
    if (left.length > 0) await runScript(installScript(left))
  })
  return (await isInstalled()) || (await declined('RabbitMQ could not be installed; see above'))
}

/** True when nodes can be started; asks the very code that starts them. */
export async function isInstalled() {
  const { findRabbitmq } = await import(inRoot('dist', 'cluster', 'rabbitmq.js'))
  return findRabbitmq() !== undefined
}

/** Servers that are not there, each with the files below test/cluster that need it. */
export function missingServers() {
  const missing = SERVERS.filter(({ isThere }) => !isThere())
  return missing.map(({ name, tests }) => ({
    name,
    files: tests.map(test => `test/cluster/${test}.test.ts`),
  }))
}

async function missingPackages(forTests) {
  const broker = (await isInstalled()) ? [] : ['rabbitmq-server']
  if (!forTests) return broker
  const modules = Object.entries(PYTHON_PACKAGES).filter(([module]) => !hasPythonModule(module))
  const servers = missingServers().map(({ name }) => name)
  return [...broker, ...servers, ...modules.map(([, name]) => name)]
}

/** Debian keeps the server's programs out of the path. */
function hasPostgres() {
  const base = '/usr/lib/postgresql'
  const versions = existsSync(base) ? readdirSync(base) : []
  return inPath('postgres') || versions.some(version => existsSync(`${base}/${version}/bin/postgres`))
}

function hasPythonModule(module) {
  return spawnSync('/usr/bin/python3', ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0
}

/**
 * n.b. Debian starts a service that it installs, which would take its ports of this machine. Its own switch against
 * that is policy-rc.d; where somebody has put one already, that one is left alone, and what started nevertheless is stopped.
 */
function installScript(packages) {
  const install = `DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends ${packages.join(' ')}`
  const services = Object.keys(SERVICES).filter(name => packages.includes(name))
  if (services.length === 0) return `apt-get update -q\n${install}`
  const lines = ['apt-get update -q']
  if (!existsSync('/usr/sbin/policy-rc.d')) {
    lines.push(
      "trap 'rm -f /usr/sbin/policy-rc.d' EXIT",
      "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d",
    )
    lines.push('chmod 755 /usr/sbin/policy-rc.d')
  }
  lines.push(install)
  const stop = services.map(name => `systemctl disable --now ${SERVICES[name]}`)
  if (existsSync('/run/systemd/system')) lines.push(...stop)
  return lines.join('\n')
}

async function isWanted(script, yes, missing) {
  const root = process.getuid?.() === 0
  const terminal =
    process.stdin.isTTY === true && process.stderr.isTTY === true && process.env.CI === undefined
  if (!root && !inPath('sudo')) return false
  say(
    `${missing.join(', ')} is not installed. ${yes || (root && !terminal) ? 'Running' : 'This would be run'}${root ? '' : ' with sudo'}:\n`,
  )
  say(`${script.replace(/^/gm, '    ')}\n`)
  if (yes || (root && !terminal)) return true
  if (terminal) return await ask('It changes this system, and starts no service. Run it? [y/N] ')
  say('Nobody is there to ask: run it yourself, or call again with --yes.')
  return false
}

async function ask(question) {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await terminal.question(question)).trim())
  } finally {
    terminal.close()
  }
}

/** @throws when the script cannot be started; a failure of it shows in what is missing afterwards */
async function runScript(script) {
  const shell = ['sh', '-ec', script]
  const [program, ...args] = process.getuid?.() === 0 ? shell : ['sudo', ...shell]
  const code = await runProgram(program, args, { stdio: ['ignore', 2, 2] })
  if (code !== 0) say(`the installation ended with exit code ${code}`)
}

async function declined(why) {
  const there = await isInstalled()
  say(there ? `${why}; RabbitMQ is there, packages for some tests are not` : why)
  return there
}

function inPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some(folder => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return folder !== ''
    } catch {
      return false
    }
  })
}
