/**
 * The transactional seen store over a pool of node-postgres (`pg`), given by the application: its shape alone is known
 * here. The handler gets the client of its transaction, and does its work with it.
 */
import { asError } from '../errors.js'
import type { SeenStore } from './seen.js'
import { RolledBack } from './store-errors.js'
import { type SqlRow, transactionalSeen } from './transactional-seen.js'

/** What is used of a `pg.PoolClient`. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ rows: SqlRow[]; command: string }>
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
  release(destroy?: boolean): void
}

/** What is used of a `pg.Pool`. */
export interface PostgresPool<C extends PostgresClient> {
  connect(): Promise<C>
  query(text: string, values?: unknown[]): Promise<{ rows: SqlRow[] }>
}

/** SQLSTATE: connection exceptions, resources, intervention of an operator; and what sockets say. */
const AWAY = /^(08|53|57P|ECONN|EPIPE|ETIMEDOUT)/
/** The words of `pg` where there is no answer that could have a state. */
const LOST = /^(Connection terminated|Client has encountered a connection error)/
/** Serialisation failure, deadlock. */
const CONFLICT = /^40(001|P01)$/

/**
 * Mark and effect in one transaction of PostgreSQL.
 * @param pool - with at least as many connections as handlers run at once (`concurrency`), and two more; listen for its `error`s
 */
export function postgresSeen<C extends PostgresClient>(pool: PostgresPool<C>): SeenStore<C> {
  return transactionalSeen<C>({
    transaction: run => inTransaction(pool, run),
    query: async (sql, values, tx) => (await (tx ?? pool).query(sql, [...values])).rows,
    isAway: error => AWAY.test(stateOf(error)) || LOST.test(error.message),
    isConflict: error => CONFLICT.test(stateOf(error)),
  })
}

async function inTransaction<C extends PostgresClient, R>(
  pool: PostgresPool<C>,
  run: (tx: C) => Promise<R>,
): Promise<R> {
  const client = await pool.connect()
  let isBroken = false
  const onError = (): void => {
    isBroken = true // n.b. unheard, it would end the process
  }
  client.on('error', onError)
  try {
    await client.query('BEGIN')
    const result = await run(client)
    await commit(client)
    return result
  } catch (thrown) {
    await client.query('ROLLBACK').catch(onError)
    throw thrown
  } finally {
    client.off('error', onError)
    client.release(isBroken)
  }
}

/** n.b. PostgreSQL answers COMMIT with ROLLBACK where a statement had failed, and the handler went on nevertheless. */
async function commit(client: PostgresClient): Promise<void> {
  const { command } = await client.query('COMMIT')
  if (command !== 'COMMIT') throw new RolledBack('the handler went on after a statement had failed')
}

function stateOf(error: Error): string {
  const { code } = asError(error) as Error & { code?: unknown }
  return typeof code === 'string' ? code : ''
}
