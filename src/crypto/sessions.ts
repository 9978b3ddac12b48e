/**
 * Sessions kept: one key agreement serves many envelopes, for an hour at most. The one importer of lru-cache.
 * A secret that is dropped is overwritten.
 */
import { LRUCache } from 'lru-cache'
import type { HmacKey } from './sodium.js'

export const SESSION_MS = 3_600_000 // 1 hour

export interface Session {
  /** The 32 bytes that both sides derived, ready to derive the keys of envelopes. */
  readonly secret: HmacKey
  readonly createdAtMs: number
}

export interface SessionCache<S extends Session> {
  /** A living session; one that is over is dropped. n.b. a clock that ran back behind its start ends it too. */
  find(key: string, nowMs: number): S | undefined
  keep(key: string, session: S): void
  drop(key: string): void
  /** Drops those that `over` names, and those that are past their hour. */
  sweep(nowMs: number, over: (session: S) => boolean): void
  readonly size: number
}

/** @param max - sessions kept at most; the least recently used one goes first */
export function createSessionCache<S extends Session>(max: number): SessionCache<S> {
  const cache = new LRUCache<string, S>({ max, dispose: session => session.secret.erase() })
  const past = (session: S, nowMs: number): boolean =>
    nowMs < session.createdAtMs || nowMs >= session.createdAtMs + SESSION_MS

  return {
    find(key, nowMs) {
      const session = cache.get(key)
      if (session === undefined || !past(session, nowMs)) return session
      cache.delete(key)
      return undefined
    },
    keep: (key, session) => void cache.set(key, session),
    drop: key => void cache.delete(key),
    sweep(nowMs, over) {
      for (const [key, session] of [...cache.entries()])
        if (past(session, nowMs) || over(session)) cache.delete(key)
    },
    get size() {
      return cache.size
    },
  }
}
