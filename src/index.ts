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
export { type PostgresClient, type PostgresPool, postgresSeen } from './reliability/postgres-seen.js'
export type { SeenStore } from './reliability/seen.js'
export { SEEN_SCHEMA } from './reliability/seen-sql.js'
export { type RedisClient, type SharedSeenOptions, sharedSeen } from './reliability/shared-seen.js'
export { type TransactionalSeenOptions, transactionalSeen } from './reliability/transactional-seen.js'
export { secure } from './secure.js'
export { MemoryBroker, type MemoryBrokerOptions, memoryTransport } from './transport/memory.js'
export { type RabbitOptions, rabbitTransport } from './transport/rabbitmq.js'
export type { Transport } from './transport/transport.js'
