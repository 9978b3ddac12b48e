/**
 * A fake AMQP 0-9-1 server on a real socket, for what a real broker will not do on demand. It answers the happy path;
 * a script sees each step first and may do something else instead.
 */
import { createServer, type Server, type Socket } from 'node:net'

/** Client methods by class and method id (AMQP 0-9-1 §1.2, and RabbitMQ's confirm.select). */
const METHODS: Readonly<Record<string, Step>> = {
  '10.11': 'connection.start-ok',
  '10.31': 'connection.tune-ok',
  '10.40': 'connection.open',
  '10.50': 'connection.close',
  '10.51': 'connection.close-ok',
  '20.10': 'channel.open',
  '20.40': 'channel.close',
  '20.41': 'channel.close-ok',
  '60.10': 'basic.qos',
  '60.20': 'basic.consume',
  '60.30': 'basic.cancel',
  '60.40': 'basic.publish',
  '60.80': 'basic.ack',
  '85.10': 'confirm.select',
  '50.10': 'queue.declare',
  '50.20': 'queue.bind',
}

/** What a client does, in the order in which it connects and works. */
export type Step =
  | 'accept'
  | 'header'
  | 'connection.start-ok'
  | 'connection.tune-ok'
  | 'connection.open'
  | 'connection.close'
  | 'connection.close-ok'
  | 'channel.open'
  | 'channel.close'
  | 'channel.close-ok'
  | 'confirm.select'
  | 'basic.qos'
  | 'basic.consume'
  | 'basic.cancel'
  | 'basic.publish'
  | 'basic.ack'
  | 'queue.declare'
  | 'queue.bind'
  | 'other'

/** True: the script has seen to it (or chooses silence); else the usual answer follows. */
export type Script = (step: Step, session: Session, channel: number) => boolean | undefined

/** Bytes of a method's arguments. */
const short = (n: number): Buffer => Buffer.from([(n >> 8) & 255, n & 255])
const long = (n: number): Buffer =>
  Buffer.from([(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255])
const longlong = (n: number): Buffer => Buffer.concat([long(0), long(n)])
const shortstr = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
const longstr = (text: string): Buffer => Buffer.concat([long(text.length), Buffer.from(text)])
const bits = (n: number): Buffer => Buffer.from([n])

function frame(type: number, channel: number, payload: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from([type]),
    short(channel),
    long(payload.length),
    payload,
    Buffer.from([0xce]),
  ])
}

function method(channel: number, classId: number, methodId: number, ...args: Buffer[]): Buffer {
  return frame(1, channel, Buffer.concat([short(classId), short(methodId), ...args]))
}

/** Server frames. */
export const frames = {
  start: method(0, 10, 10, bits(0), bits(9), long(0), longstr('PLAIN EXTERNAL'), longstr('en_US')),
  tune: method(0, 10, 30, short(2047), long(131_072), short(0)),
  openOk: method(0, 10, 41, shortstr('')),
  connectionClose: (code: number, text: string): Buffer =>
    method(0, 10, 50, short(code), shortstr(text), short(0), short(0)),
  connectionCloseOk: method(0, 10, 51),
  blocked: (reason: string): Buffer => method(0, 10, 60, shortstr(reason)),
  unblocked: method(0, 10, 61),
  channelOpenOk: (channel: number): Buffer => method(channel, 20, 11, longstr('')),
  channelClose: (channel: number, code: number, text: string): Buffer =>
    method(channel, 20, 40, short(code), shortstr(text), short(60), short(40)),
  channelCloseOk: (channel: number): Buffer => method(channel, 20, 41),
  selectOk: (channel: number): Buffer => method(channel, 85, 11),
  qosOk: (channel: number): Buffer => method(channel, 60, 11),
  consumeOk: (channel: number): Buffer => method(channel, 60, 21, shortstr('tag')),
  declareOk: (channel: number, consumers: number): Buffer =>
    method(channel, 50, 11, shortstr('inbox.a'), long(0), long(consumers)),
  bindOk: (channel: number): Buffer => method(channel, 50, 21),
  cancel: (channel: number): Buffer => method(channel, 60, 30, shortstr('tag'), bits(1)),
  ack: (channel: number, tag: number, multiple = false): Buffer =>
    method(channel, 60, 80, longlong(tag), bits(multiple ? 1 : 0)),
  nack: (channel: number, tag: number, multiple = false): Buffer =>
    method(channel, 60, 120, longlong(tag), bits(multiple ? 1 : 0)),
  /** basic.return with a message id and an empty body. */
  returned: (channel: number, messageId: string): Buffer =>
    Buffer.concat([
      method(channel, 60, 50, short(312), shortstr('NO_ROUTE'), shortstr('sealbus'), shortstr('a.b')),
      frame(
        2,
        channel,
        Buffer.concat([short(60), short(0), longlong(0), short(0x0080), shortstr(messageId)]),
      ),
    ]),
  deliver: (channel: number, tag: number, body: string): Buffer =>
    Buffer.concat([
      method(channel, 60, 60, shortstr('tag'), longlong(tag), bits(0), shortstr('sealbus'), shortstr('a.b')),
      frame(2, channel, Buffer.concat([short(60), short(0), longlong(body.length), short(0)])),
      frame(3, channel, Buffer.from(body)),
    ]),
} as const

/** What a client wrote: a method (type 1), a content header (2) or a body (3). */
export interface ReceivedFrame {
  readonly type: number
  readonly channel: number
  readonly payload: Buffer
}

/** One client's connection. */
export class Session {
  readonly socket: Socket
  /** All frames so far, in their order. */
  readonly received: ReceivedFrame[] = []
  /** 1 for the first connection of this broker. */
  readonly number: number
  #script: Script
  #rest = Buffer.alloc(0)
  #greeted = false

  constructor(socket: Socket, number: number, script: Script) {
    this.socket = socket
    this.number = number
    this.#script = script
    socket.on('error', () => undefined)
    socket.on('data', data => this.#read(data))
    this.#step('accept', 0)
  }

  /** Writes frames, as one segment where they are given together. */
  send(...parts: Buffer[]): true {
    if (this.socket.writable) this.socket.write(Buffer.concat(parts))
    return true
  }

  /** FIN. */
  end(): true {
    this.socket.end()
    return true
  }

  /** RST instead of FIN. */
  reset(): true {
    this.socket.resetAndDestroy()
    return true
  }

  #read(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data])
    if (!this.#greeted && this.#rest.length >= 8) {
      this.#greeted = true
      this.#rest = this.#rest.subarray(8)
      this.#step('header', 0)
    }
    while (this.#greeted && this.#rest.length >= 7 && this.#frame());
  }

  #frame(): boolean {
    const size = this.#rest.readUInt32BE(3)
    if (this.#rest.length < size + 8) return false
    const [type = 0, channel] = [this.#rest[0], this.#rest.readUInt16BE(1)]
    const payload = this.#rest.subarray(7, 7 + size)
    this.#rest = this.#rest.subarray(size + 8)
    this.received.push({ type, channel, payload })
    if (type === 1) {
      this.#step(METHODS[`${payload.readUInt16BE(0)}.${payload.readUInt16BE(2)}`] ?? 'other', channel)
    }
    return true
  }

  #step(step: Step, channel: number): void {
    if (this.#script(step, this, channel) === true) return
    const answer = usual(step, channel)
    if (answer !== undefined) this.send(answer)
    if (step === 'connection.close' || step === 'connection.close-ok') this.socket.end()
  }
}

function usual(step: Step, channel: number): Buffer | undefined {
  switch (step) {
    case 'header':
      return frames.start
    case 'connection.start-ok':
      return frames.tune
    case 'connection.open':
      return frames.openOk
    case 'connection.close':
      return frames.connectionCloseOk
    case 'channel.open':
      return frames.channelOpenOk(channel)
    case 'channel.close':
      return frames.channelCloseOk(channel)
    case 'confirm.select':
      return frames.selectOk(channel)
    case 'basic.qos':
      return frames.qosOk(channel)
    case 'basic.consume':
      return frames.consumeOk(channel)
    default:
      return undefined
  }
}

/** The server. */
export class ScriptedBroker {
  readonly sessions: Session[] = []
  #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async listen(script: Script = () => undefined): Promise<ScriptedBroker> {
    const server = createServer()
    const broker = new ScriptedBroker(server)
    server.on('connection', socket => {
      broker.sessions.push(new Session(socket, broker.sessions.length + 1, script))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return broker
  }

  /** `amqp://127.0.0.1:PORT` */
  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string')
      throw new Error('the scripted broker does not listen')
    return `amqp://127.0.0.1:${address.port}`
  }

  async close(): Promise<void> {
    for (const session of this.sessions) session.socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }
}
