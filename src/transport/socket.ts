/**
 * The socket under an amqplib connection. amqplib 2.3.1 hands it out only after the handshake, and lets an exception
 * escape from its frame loop when the broker closes in the same segment in which it opens: that would end the process.
 */
import net from 'node:net'
import tls from 'node:tls'
import { asError } from '../errors.js'

/**
 * Runs `open`, which makes one socket synchronously, and gives both. Nothing else runs in between.
 * @throws what making the socket threw, such as TLS files that are no PEM
 */
export function captureSocket<T>(open: () => T): { result: T; socket: net.Socket } {
  const made: net.Socket[] = []
  const failed: Error[] = []
  const restore = [watch(net, made, failed), watch(tls, made, failed)]
  try {
    const result = open()
    const socket = made[0]
    if (socket === undefined) {
      // n.b. amqplib's promise rejects with the same; unheard, that would end the process
      void Promise.resolve(result).catch(() => undefined)
      throw failed[0] ?? new TypeError('captureSocket: expected a socket to be made, got none')
    }
    guard(socket)
    return { result, socket }
  } finally {
    for (const undo of restore) undo()
  }
}

/** Notes what `module.connect` returns or throws, until undone. */
function watch(module: typeof net | typeof tls, made: net.Socket[], failed: Error[]): () => void {
  const original = module.connect as (...args: unknown[]) => net.Socket
  Reflect.set(module, 'connect', (...args: unknown[]) => {
    try {
      const socket = original(...args)
      made.push(socket)
      return socket
    } catch (thrown) {
      failed.push(asError(thrown))
      throw thrown
    }
  })
  return () => void Reflect.set(module, 'connect', original)
}

/** What a listener of this socket throws ends this socket, not the process. */
function guard(socket: net.Socket): void {
  const emit = socket.emit.bind(socket) as (event: string, ...args: unknown[]) => boolean
  socket.emit = (event: string, ...args: unknown[]): boolean => {
    try {
      return emit(event, ...args)
    } catch (thrown) {
      socket.destroy(asError(thrown))
      return true
    }
  }
}
