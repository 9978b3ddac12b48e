import { beforeEach, describe, expect, test } from 'vitest'
import { PAUSE_MS } from '../../src/reliability/circuit.js'
import { Pauses } from '../../src/reliability/pauses.js'

let ms = 0
let events: string[] = []
let inbox: (string | undefined)[] = []
let pauses: Pauses

beforeEach(() => {
  ms = 0
  events = []
  inbox = []
  pauses = new Pauses({
    emit: (event, detail) => events.push(`${event} ${(detail as { from: string }).from}`),
    onInbox: error => inbox.push(error?.message),
    activeMs: () => ms,
  })
})

/** Runs a message of each of these senders, which fails; what becomes of them. */
function fail(...senders: string[]): string[] {
  return senders.map(sender => {
    if (!pauses.admits(sender)) return 'waits'
    pauses.started(sender)
    return pauses.failed(sender, new TypeError('no'))
  })
}

/** The same, with success. */
function succeed(...senders: string[]): string[] {
  return senders.map(sender => {
    if (!pauses.admits(sender)) return 'waits'
    pauses.started(sender)
    pauses.succeeded(sender)
    return 'handled'
  })
}

function wait(time: number): boolean {
  ms += time
  return pauses.tick()
}

describe('a sender', () => {
  test('whose messages fail five times in a row is paused, others are not', () => {
    expect(succeed('b')).toEqual(['handled'])
    expect(fail('a', 'a', 'a', 'a')).toEqual(['park', 'park', 'park', 'park'])
    expect(fail('a')).toEqual(['keep'])
    expect([fail('a'), succeed('b')]).toEqual([['waits'], ['handled']])
    expect([events, inbox]).toEqual([['sender-paused a'], []])
    expect([pauses.holds('a'), pauses.holds('b')]).toEqual([true, false])
  })

  test('that fails four times in a row, again and again, is not', () => {
    for (let i = 0; i < 10; i++) expect([...fail('a', 'a', 'a', 'a'), ...succeed('a')]).not.toContain('keep')
    expect(events).toEqual([])
  })

  test('gets one try after 30 s, and goes on with its success', () => {
    succeed('b')
    fail('a', 'a', 'a', 'a', 'a')
    expect(wait(PAUSE_MS - 1)).toBe(false)
    expect(pauses.admits('a')).toBe(false)
    expect(wait(1)).toBe(true)
    expect(pauses.admits('a')).toBe(true)
    pauses.started('a')
    expect(pauses.admits('a')).toBe(false)
    expect(pauses.succeeded('a')).toBe(true)
    expect(succeed('a', 'a')).toEqual(['handled', 'handled'])
    expect(events).toEqual(['sender-paused a', 'sender-resumed a'])
  })

  test('whose try fails while others succeed loses that message to parking, one every 30 s', () => {
    succeed('b')
    fail('a', 'a', 'a', 'a', 'a')
    for (let i = 0; i < 5; i++) {
      wait(PAUSE_MS)
      succeed('b')
      expect(fail('a', 'a')).toEqual(['park', 'waits'])
    }
    expect(events).toEqual(['sender-paused a'])
  })

  test('whose try comes to nothing is tried again', () => {
    succeed('b')
    fail('a', 'a', 'a', 'a', 'a')
    wait(PAUSE_MS)
    pauses.started('a')
    pauses.withdrawn('a')
    expect(succeed('a')).toEqual(['handled'])
  })
})

describe('the inbox', () => {
  test('pauses when all senders that were heard are failing, and keeps what fails', () => {
    succeed('a', 'b', 'c')
    expect(fail('a', 'b', 'a', 'b', 'a', 'b')).not.toContain('keep')
    expect(inbox).toEqual([])
    expect(fail('c')).toEqual(['keep'])
    expect(inbox).toEqual(['no'])
    expect([...succeed('a', 'b', 'c')]).toEqual(['waits', 'waits', 'waits'])
    expect(pauses.isInboxPaused).toBe(true)
  })

  test('does not pause while one of them succeeds', () => {
    for (let i = 0; i < 20; i++) {
      succeed('c')
      fail('a', 'b')
    }
    expect(inbox).toEqual([])
  })

  test('of many senders pauses when eight of them fail in a row', () => {
    const senders = Array.from({ length: 100 }, (_, i) => `s${i}`)
    succeed(...senders)
    expect(fail(...senders.slice(0, 10)).filter(fate => fate === 'park')).toHaveLength(7)
    expect(inbox).toHaveLength(1)
  })

  test('asks only senders that were heard within ten minutes', () => {
    succeed('a', 'b')
    wait(600_001)
    expect(fail('a', 'a', 'a', 'a', 'a')).toEqual(['park', 'park', 'park', 'park', 'keep'])
    expect(inbox).toEqual(['no'])
  })

  test('tries one message after 30 s; with its success everything goes on', () => {
    fail('a', 'a', 'a', 'a', 'a')
    expect(wait(PAUSE_MS)).toBe(true)
    expect(succeed('a', 'a')).toEqual(['handled', 'handled'])
    expect(inbox).toEqual(['no', undefined])
    expect(events).toEqual(['sender-paused a', 'sender-resumed a'])
  })

  test('keeps what is tried for five minutes before it parks it: a long outage does not fill parking', () => {
    fail('a', 'a', 'a', 'a', 'a')
    const fates: string[] = []
    for (let i = 0; i < 240; i++) {
      wait(PAUSE_MS)
      fates.push(...fail('a', 'a'))
    }
    expect(fates.filter(fate => fate === 'park')).toHaveLength(24)
    expect(fates.filter(fate => fate === 'keep')).toHaveLength(216)
    expect(inbox).toEqual(['no'])
  })

  test('takes a sender that was not heard yet for a try, so that one bad sender stops nobody', () => {
    fail('bad', 'bad', 'bad', 'bad', 'bad')
    expect(succeed('good', 'good')).toEqual(['handled', 'handled'])
    expect(inbox).toEqual(['no', undefined])
    expect(fail('bad')).toEqual(['waits'])
  })

  test('tries no more than eight senders so, each once', () => {
    fail('s0', 's0', 's0', 's0', 's0')
    const others = Array.from({ length: 20 }, (_, i) => `s${i + 1}`)
    const fates = fail(...others, ...others)
    expect(fates.filter(fate => fate === 'keep')).toHaveLength(7)
    expect(fates.filter(fate => fate === 'waits')).toHaveLength(33)
  })

  test('forgets senders that are silent, but not that they are paused', () => {
    succeed('b')
    fail('a', 'a', 'a', 'a', 'a')
    ms += 700_000
    pauses.sweep()
    expect(pauses.holds('a')).toBe(true)
    expect(pauses.admits('a')).toBe(false)
  })
})
