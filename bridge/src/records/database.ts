import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { readCursor, writeCursor } from './cursor.ts';
import type { CallRecord } from './record.ts';
import type { RecordFilter, RecordPage, StoredCallback, Write } from './store-messages.ts';

const SCHEMA_VERSION = 2;
/** How long a write waits for another process's write, ms. The thread waits with it. */
const BUSY_MS = 1_000;
/** Rows deleted in one transaction. The thread answers requests in between. */
const PRUNED_AT_ONCE = 1_000;
/** Primary result codes of SQLite (sqlite.org/rescode.html). */
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;
/**
 * PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN: faults of the machine, not of the
 * data.
 */
const ENVIRONMENT_CODES = [3, 5, 6, 7, 8, 10, 13, 14];

// A record is stored as JSON. Searchable fields are copied into columns, so that a search does not
// parse JSON. Numbers are also stored reversed, for searches by their last digits.
const SCHEMA = `
CREATE TABLE calls (
  id INTEGER PRIMARY KEY,
  from_key TEXT NOT NULL,
  to_key TEXT NOT NULL,
  call_id TEXT AS (record ->> '$.callId') STORED,
  channel_id TEXT AS (record ->> '$.channelId') STORED,
  offered TEXT AS (record ->> '$.times.offered') STORED,
  provider TEXT AS (record ->> '$.provider') STORED,
  direction TEXT AS (record ->> '$.direction') STORED,
  outcome TEXT AS (record ->> '$.outcome') STORED,
  end_reason TEXT AS (record ->> '$.endReason') STORED,
  state TEXT AS (record ->> '$.state') STORED,
  record TEXT NOT NULL,
  process TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX calls_by_channel ON calls (channel_id, offered);
CREATE INDEX calls_by_id ON calls (call_id, offered);
CREATE INDEX calls_by_time ON calls (offered);
CREATE INDEX calls_by_provider ON calls (provider, offered);
CREATE INDEX calls_by_outcome ON calls (outcome, direction, offered);
CREATE INDEX calls_by_end ON calls (end_reason, offered);
CREATE INDEX calls_from ON calls (from_key, offered);
CREATE INDEX calls_to ON calls (to_key, offered);
CREATE INDEX calls_live ON calls (state) WHERE state <> 'closed';
CREATE TABLE callbacks (
  id TEXT PRIMARY KEY,
  call_id TEXT NOT NULL,
  url TEXT NOT NULL,
  body TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  process TEXT NOT NULL DEFAULT ''
) STRICT;
`;

/** From version 1: whose a live call or callback is. Version 1 had one process at a time. */
const FROM_VERSION_1 = `
ALTER TABLE calls ADD COLUMN process TEXT NOT NULL DEFAULT '';
ALTER TABLE callbacks ADD COLUMN process TEXT NOT NULL DEFAULT '';
`;

/** Whether the database file is corrupt. A retry does not help then. */
export function isCorrupt(error: unknown): boolean {
  const code = primaryCode(error);
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}

/** Whether the machine is at fault (disk full, file locked). A retry may succeed. */
export function isEnvironmental(error: unknown): boolean {
  return ENVIRONMENT_CODES.includes(primaryCode(error));
}

function primaryCode(error: unknown): number {
  return ((error as { errcode?: number }).errcode ?? 0) & 0xff;
}

/** Letters and digits of a number, reversed: `+49 30 12` is `210394`. */
function numberKey(number: string): string {
  const plain = number.toLowerCase().replaceAll(/[^0-9a-z]/g, '');
  return [...plain].reverse().join('');
}

/** A cursor that {@link RecordDatabase.list} did not return. */
export class BadCursorError extends Error {
  override name = 'BadCursorError';
}

/**
 * The SQLite database of call records and undelivered callbacks. Synchronous: it must run in a
 * thread of its own.
 */
export class RecordDatabase {
  readonly #db: DatabaseSync;
  readonly #process: string;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens a database, a file or `:memory:`. Creates it if needed. Throws SQLite's errors.
   * `process` is the writer's id. Several processes of the bridge may have the file open. What is
   * live belongs to the process that wrote it last.
   */
  constructor(path: string, process: string) {
    this.#process = process;
    this.#db = new DatabaseSync(path);
    try {
      this.#db.exec(
        `PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`,
      );
      // Records deleted for their age are personal data: SQLite must overwrite them in the file.
      this.#db.exec('PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;');
      this.#migrate();
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  /** Writes all in one transaction, or nothing. Throws SQLite's errors. */
  write(writes: readonly Write[]): void {
    this.#inTransaction(() => {
      for (const write of writes) this.#write(write);
    });
  }

  /** Records of calls that have not ended, of the processes for which `isLeft` holds. */
  liveCalls(isLeft: (process: string) => boolean): CallRecord[] {
    const rows = this.#prepare(`SELECT process, record FROM calls WHERE state <> 'closed'`).all();
    return rows.filter(({ process }) => isLeft(String(process))).map(recordOf);
  }

  /**
   * The same, and these are ours from now on: their process can no longer end them ({@link
   * endLeft}). If that cannot be written, they are returned all the same.
   */
  takeLiveCalls(isLeft: (process: string) => boolean): CallRecord[] {
    const take = this.#prepare(
      `UPDATE calls SET process = ? WHERE channel_id = ? AND offered = ? AND state <> 'closed'`,
    );
    try {
      return this.#inTransaction(() => {
        const found = this.liveCalls(isLeft);
        for (const { channelId, times } of found) take.run(this.#process, channelId, times.offered);
        return found;
      });
    } catch (error) {
      if (!isEnvironmental(error)) throw error;
      return this.liveCalls(isLeft);
    }
  }

  /**
   * Ends the record of a call that was left to other processes. Returns whether none had taken it:
   * the call was still ours to end.
   */
  endLeft(record: CallRecord): boolean {
    const ended = this.#prepare(
      `UPDATE calls SET record = ?
       WHERE channel_id = ? AND offered = ? AND process = ? AND state <> 'closed'`,
    ).run(JSON.stringify(record), record.channelId, record.times.offered, this.#process);
    return ended.changes > 0;
  }

  /** The latest record with this call id, or else with this channel id. */
  get(id: string): CallRecord | undefined {
    for (const column of ['call_id', 'channel_id']) {
      const found = this.#prepare(
        `SELECT record FROM calls WHERE ${column} = ? ORDER BY offered DESC LIMIT 1`,
      ).get(id);
      if (found !== undefined) return recordOf(found);
    }
    return undefined;
  }

  /** Records, newest first. Throws a {@link BadCursorError}. */
  list(filter: RecordFilter, limit: number, cursor: string | undefined): RecordPage {
    const conditions: string[] = [];
    const values: SQLInputValue[] = [];
    const where = (condition: string, ...parameters: (SQLInputValue | undefined)[]) => {
      if (parameters.some((value) => value === undefined)) return;
      conditions.push(condition);
      values.push(...(parameters as SQLInputValue[]));
    };
    where('offered >= ?', filter.offeredFrom);
    where('offered < ?', filter.offeredBefore);
    where('provider = ?', filter.provider);
    where('direction = ?', filter.direction);
    where('outcome = ?', filter.outcome);
    where('end_reason = ?', filter.endReason);
    where('state = ?', filter.state);
    // Live calls have an index of their own.
    if (filter.state !== undefined && filter.state !== 'closed') where(`state <> 'closed'`);
    if (filter.number !== undefined) {
      const from = numberKey(filter.number);
      // Upper bound of the prefix search: `{` sorts after all digits and letters of a key.
      const to = `${from}{`;
      where(
        `id IN (SELECT id FROM calls WHERE from_key >= ? AND from_key < ?
         UNION ALL SELECT id FROM calls WHERE to_key >= ? AND to_key < ?)`,
        from,
        to,
        from,
        to,
      );
    }
    if (cursor !== undefined) {
      const place = readCursor(cursor);
      if (place === undefined) throw new BadCursorError('no such cursor');
      where('(offered, id) < (?, ?)', place.offered, place.row);
    }
    const ids = `SELECT id FROM calls ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
       ORDER BY offered DESC, id DESC LIMIT ?`;
    const rows = this.#prepare(
      `SELECT id, offered, record FROM calls WHERE id IN (${ids}) ORDER BY offered DESC, id DESC`,
    ).all(...values, limit + 1);
    const records = rows.slice(0, limit).map(recordOf);
    const last = rows[limit - 1];
    return rows.length > limit && last !== undefined
      ? { records, nextCursor: writeCursor({ offered: String(last.offered), row: Number(last.id) }) }
      : { records };
  }

  /** Undelivered callbacks of the processes for which `isLeft` holds, oldest first. */
  callbacks(isLeft: (process: string) => boolean): StoredCallback[] {
    const rows = this.#prepare('SELECT * FROM callbacks ORDER BY created_ms').all();
    return rows
      .filter(({ process }) => isLeft(String(process)))
      .map((row) => ({
        id: String(row.id),
        callId: String(row.call_id),
        url: String(row.url),
        body: String(row.body),
        createdMs: Number(row.created_ms),
        tries: Number(row.tries),
      }));
  }

  /**
   * Deletes some records that were offered before `oldest`. If the database is larger than
   * `maxBytes`, it deletes the oldest ones. Returns whether more may have to be deleted.
   */
  prune(oldest: string, maxBytes: number): boolean {
    const aged = this.#delete('WHERE offered < ?', oldest);
    if (aged > 0) return true;
    return this.usedBytes > maxBytes && this.#delete('') > 0;
  }

  /** Bytes in use, without the free pages that deletions leave. */
  get usedBytes(): number {
    const of = (pragma: string) => Number(Object.values(this.#prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
    return (of('page_count') - of('freelist_count')) * of('page_size');
  }

  close(): void {
    this.#db.close();
  }

  #delete(condition: string, ...values: SQLInputValue[]): number {
    // Records of live calls are never deleted, however old they are.
    const some = `SELECT id FROM calls ${condition} ORDER BY offered LIMIT ${PRUNED_AT_ONCE}`;
    const statement = this.#prepare(`DELETE FROM calls WHERE state = 'closed' AND id IN (${some})`);
    return Number(statement.run(...values).changes);
  }

  #write(write: Write): void {
    switch (write.type) {
      case 'call': {
        const { record } = write;
        // Whose record it is by now may have written it before.
        if (record.endReason === 'taken-over' && this.#isOthers(record)) return;
        // A channel has one live call. A record from before this call's own record was known is
        // replaced.
        this.#prepare("DELETE FROM calls WHERE channel_id = ? AND offered <> ? AND state <> 'closed'").run(
          record.channelId,
          record.times.offered,
        );
        this.#prepare(
          `INSERT INTO calls (record, from_key, to_key, process) VALUES (?, ?, ?, ?)
           ON CONFLICT (channel_id, offered) DO UPDATE
           SET record = excluded.record, from_key = excluded.from_key, to_key = excluded.to_key,
             process = excluded.process`,
        ).run(JSON.stringify(record), numberKey(record.from), numberKey(record.to), this.#process);
        return;
      }
      case 'callback': {
        const { id, callId, url, body, createdMs, tries } = write.callback;
        this.#prepare('INSERT OR REPLACE INTO callbacks VALUES (?, ?, ?, ?, ?, ?, ?)').run(
          id,
          callId,
          url,
          body,
          createdMs,
          tries,
          this.#process,
        );
        return;
      }
      case 'callback-done':
        this.#prepare('DELETE FROM callbacks WHERE id = ?').run(write.id);
    }
  }

  /** Whether another process wrote a call's record last. */
  #isOthers({ channelId, times }: CallRecord): boolean {
    const found = this.#prepare('SELECT process FROM calls WHERE channel_id = ? AND offered = ?').get(
      channelId,
      times.offered,
    );
    return found !== undefined && found.process !== this.#process;
  }

  #migrate(): void {
    const version = Number(this.#prepare('PRAGMA user_version').get()?.user_version);
    if (version > SCHEMA_VERSION) throw new Error(`the database is of a newer bridge (version ${version})`);
    if (version === SCHEMA_VERSION) return;
    const change = version === 1 ? FROM_VERSION_1 : SCHEMA;
    this.#inTransaction(() => this.#db.exec(`${change} PRAGMA user_version = ${SCHEMA_VERSION};`));
  }

  #inTransaction<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      // SQLite rolls back by itself after some errors.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#db.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function recordOf(row: Record<string, unknown>): CallRecord {
  return JSON.parse(String(row.record)) as CallRecord;
}
