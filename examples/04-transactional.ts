/**
 * Effectively once: what a report does to the database, and that it was handled, are one transaction of PostgreSQL. Start
 * it as often as you like, on any machine, and kill it at any moment: every report is in the table once.
 *
 *   npx sealbus cluster up --nodes 3 --pki D
 *   node dist/examples/04-transactional.js D postgres://127.0.0.1/database STATE      STATE: a folder for each process
 */
import pg from 'pg'
import { connect, postgresSeen } from 'sealbus'

const [dir = 'D', database = 'postgres://127.0.0.1/postgres', state = 'state'] = process.argv.slice(2)
const pool = new pg.Pool({ connectionString: database, max: 20 }) // concurrency, and a few more
pool.on('error', error => console.error('database:', error.message))
await pool.query(
  'CREATE TABLE IF NOT EXISTS reports (id SERIAL PRIMARY KEY, hub TEXT NOT NULL, n INTEGER NOT NULL)',
)

const vpp = await connect({ identity: `${dir}/devices/vpp-0001`, state, seen: postgresSeen(pool) })
vpp.on('store-waiting', event => console.error('the database is away', event))

await vpp.consume<pg.PoolClient>(async (report, tx) => {
  const { n } = report.json() as { n: number }
  await tx.query('INSERT INTO reports (hub, n) VALUES ($1, $2)', [report.from?.address, n])
})
console.log('consuming')

process.once('SIGTERM', () => {
  void vpp.drain().then(() => pool.end())
})
