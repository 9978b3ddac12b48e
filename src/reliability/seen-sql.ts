/**
 * The tables and statements of the transactional seen store, in the SQL that PostgreSQL (since 9.5) and SQLite (since 3.35)
 * share. docs/DELIVERY.md, "Effectively once".
 */

/**
 * The tables, one statement each; all of them change nothing where they are there.
 *
 * | table | one row |
 * | --- | --- |
 * | `sealbus_seen` | a number that is used up; its primary key is what makes a second handling impossible |
 * | `sealbus_epoch` | an epoch; every number in `run_from .. run_to - 1` is used up, and its row may be gone |
 * | `sealbus_note` | `time`: the highest authenticated time; `closed SENDER`: epochs closed before, ms |
 */
export const SEEN_SCHEMA: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS sealbus_seen (
    domain TEXT NOT NULL, address TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL,
    mark TEXT NOT NULL, hash TEXT NOT NULL, created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (domain, address, epoch, seq))`,
  `CREATE TABLE IF NOT EXISTS sealbus_epoch (
    domain TEXT NOT NULL, address TEXT NOT NULL, epoch TEXT NOT NULL,
    run_from BIGINT NOT NULL, run_to BIGINT NOT NULL, run_at_ms BIGINT NOT NULL,
    floor BIGINT NOT NULL, last_created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (domain, address, epoch))`,
  'CREATE TABLE IF NOT EXISTS sealbus_note (name TEXT PRIMARY KEY, ms BIGINT NOT NULL)',
]

const KEY = 'domain = $1 AND address = $2 AND epoch = $3'
const COLUMNS = '(domain, address, epoch, seq, mark, hash, created_at_ms)'

/**
 * Uses a number up; no row comes back where it is already. n.b. where another transaction is about to, this waits for its end.
 * Values: key, seq, mark, hash, created at.
 */
export const CLAIM_NUMBER: string = `INSERT INTO sealbus_seen ${COLUMNS}
  SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS BIGINT)
  WHERE NOT EXISTS (SELECT 1 FROM sealbus_epoch WHERE ${KEY}
    AND run_from <= CAST($4 AS BIGINT) AND run_to > CAST($4 AS BIGINT))
  ON CONFLICT DO NOTHING RETURNING seq`

/** Values: key, seq. */
export const FIND_NUMBER: string = `SELECT mark, hash FROM sealbus_seen WHERE ${KEY} AND seq = $4`

/** Uses `count` numbers up outside of a transaction; a skipped one that came after all takes its new mark. Seven values each. */
export function markNumbers(count: number): string {
  const row = (i: number): string =>
    `(${[1, 2, 3, 4, 5, 6, 7].map(column => `$${i * 7 + column}`).join(', ')})`
  return `INSERT INTO sealbus_seen ${COLUMNS} VALUES ${Array.from({ length: count }, (_, i) => row(i)).join(', ')}
  ON CONFLICT (domain, address, epoch, seq) DO UPDATE SET mark = excluded.mark, hash = excluded.hash
  WHERE sealbus_seen.mark = 'skipped' AND excluded.mark <> 'skipped'`
}

/** Values: key, start, floor, last created at. */
export const NOTE_EPOCH: string = `INSERT INTO sealbus_epoch
  (domain, address, epoch, run_from, run_to, run_at_ms, floor, last_created_at_ms)
  VALUES ($1, $2, $3, $4, $4, 0, $5, $6)
  ON CONFLICT (domain, address, epoch) DO UPDATE SET
    floor = CASE WHEN excluded.floor > sealbus_epoch.floor THEN excluded.floor ELSE sealbus_epoch.floor END,
    last_created_at_ms = CASE WHEN excluded.last_created_at_ms > sealbus_epoch.last_created_at_ms
      THEN excluded.last_created_at_ms ELSE sealbus_epoch.last_created_at_ms END`

/** Values: key. */
export const READ_EPOCH: string = `SELECT run_from, run_to, run_at_ms, floor, last_created_at_ms FROM sealbus_epoch WHERE ${KEY}`

/** Values: key, the lowest number of interest. */
export const READ_NUMBERS: string = `SELECT seq, mark, hash, created_at_ms FROM sealbus_seen
  WHERE ${KEY} AND (seq >= $4 OR mark IN ('skipped', 'parked')) ORDER BY seq`

/** What the run covers needs no rows; n.b. the run was written long before, so nobody still decides without it. Values: key, run. */
export const DROP_COVERED: string = `DELETE FROM sealbus_seen
  WHERE ${KEY} AND seq >= $4 AND seq < $5 AND mark NOT IN ('skipped', 'parked')`

/** Values: key, run, now, when the run that was read was written. */
export const COVER: string = `UPDATE sealbus_epoch SET run_from = $4, run_to = $5, run_at_ms = $6 WHERE ${KEY} AND run_at_ms = $7`

/** What can no longer be alive: a replay of it is expired. Values: the latest time of creation. */
export const DROP_OLD: readonly string[] = [
  'DELETE FROM sealbus_seen WHERE created_at_ms < $1',
  `DELETE FROM sealbus_epoch WHERE last_created_at_ms < $1 AND NOT EXISTS (SELECT 1 FROM sealbus_seen s
    WHERE s.domain = sealbus_epoch.domain AND s.address = sealbus_epoch.address AND s.epoch = sealbus_epoch.epoch)`,
]

/** Values: name, ms. */
export const NOTE_TIME: string = `INSERT INTO sealbus_note (name, ms) VALUES ($1, $2)
  ON CONFLICT (name) DO UPDATE SET ms = excluded.ms WHERE excluded.ms > sealbus_note.ms`

/** Values: `worker ADDRESS ` as a whole beginning, its length, now. */
export const COUNT_WORKERS: string =
  'SELECT count(*) AS workers FROM sealbus_note WHERE substr(name, 1, CAST($2 AS INTEGER)) = $1 AND ms > $3'

/** Values: as above, and the name of one that leaves. */
export const DROP_WORKERS: string =
  'DELETE FROM sealbus_note WHERE substr(name, 1, CAST($2 AS INTEGER)) = $1 AND (ms <= $3 OR name = $4)'

/** Values: name. */
export const READ_TIME: string = 'SELECT ms FROM sealbus_note WHERE name = $1'
