/** One process at a time, across processes: a file that names its holder, taken over when the holder is gone. */

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { say } from './root.mjs'

const POLL_MS = 200
const UNWRITTEN_MS = 2_000 // time between making the file and the name in it

/**
 * @template T
 * @param {string} file
 * @param {string} purpose - what the others are waiting for, in words
 * @param {() => T | Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(file, purpose, work) {
  mkdirSync(dirname(file), { recursive: true })
  let told = false
  let unwrittenSince
  while (!take(file)) {
    const holder = holderOf(file)
    unwrittenSince = holder === '' ? (unwrittenSince ?? Date.now()) : undefined
    const abandoned = holder === '' ? Date.now() - unwrittenSince > UNWRITTEN_MS : !isAlive(Number(holder))
    if (holder !== undefined && abandoned) takeAway(file, holder)
    else if (!told) {
      say(`waiting: another process (${holder || 'unknown'}) does ${purpose}`)
      told = true
    }
    await sleep(POLL_MS)
  }
  const release = () => rmSync(file, { force: true })
  process.once('exit', release)
  try {
    return await work()
  } finally {
    process.removeListener('exit', release)
    release()
  }
}

function take(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx', mode: 0o644 })
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

/** The pid in the file; '' while it is not written, undefined when the file is gone. */
function holderOf(file) {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Renamed first, so that of two who wait only one takes it away, and never a successor's. */
function takeAway(file, holder) {
  if (holderOf(file) !== holder) return
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
    rmSync(aside, { force: true })
  } catch {
    // another one was first
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
