/** sealbus: sealed, signed, confirmed, ordered and deduplicated messages over a broker that is not yours. */
export type {
  BareBus,
  Bus,
  ConsumeOptions,
  Delivery,
  Handler,
  HeaderValue,
  Leftover,
  Logger,
  Message,
  Party,
  Priority,
  Sender,
  SendOptions,
  SendResult,
  Status,
  Until,
} from './bus.js'
export { type ConnectOptions, connect, type SecureOptions } from './connect.js'
export { type ErrorCode, isSealbusError, SealbusError } from './errors.js'
export { type PlainOptions, plainBus } from './plain.js'
export { secure } from './secure.js'
export { MemoryBroker, type MemoryBrokerOptions, memoryTransport } from './transport/memory.js'
export { type RabbitOptions, rabbitTransport } from './transport/rabbitmq.js'
export type { Transport } from './transport/transport.js'
