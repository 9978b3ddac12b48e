/** What must not grow in a process that lives long, beside its memory: open resources and listeners. */
import { EventEmitter } from 'node:events'

/** A sample. */
export interface Vitals {
  /** What keeps the event loop alive, by kind: `Timeout`, `TCPSocketWrap`, `TLSWrap`, … */
  readonly resources: Readonly<Record<string, number>>
  /** Listeners of the process, and of everything that is open and emits events. */
  readonly listeners: number
}

/** Takes one of this process. */
export function vitals(): Vitals {
  const resources: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1
  const emitters = new Set([process, ...activeHandles()].filter(isEmitter))
  const listeners = [...emitters].reduce((sum, emitter) => sum + listenersOf(emitter), 0)
  return { resources, listeners }
}

/** n.b. undocumented, and there since the first versions: without it sockets cannot be had, and their listeners not counted. */
function activeHandles(): readonly unknown[] {
  const { _getActiveHandles: handles } = process as { _getActiveHandles?: () => unknown[] }
  return handles?.call(process) ?? []
}

function isEmitter(handle: unknown): handle is EventEmitter {
  return handle instanceof EventEmitter
}

function listenersOf(emitter: EventEmitter): number {
  return emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0)
}
