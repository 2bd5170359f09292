import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type { Duplex } from 'node:stream';
import pg from 'pg';
import { SetupFault } from '../../errors/setup-fault.ts';
import type { PostgresTarget } from './postgres-url.ts';

/** Options of a pool. */
export interface PoolOptions {
  /** Maximum number of connections. */
  readonly max: number;
  /** Statement timeout in milliseconds, also for a transaction without a statement; none if omitted. */
  readonly statementTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 4_000;

/** Message of pg when no connection of the pool became free in time. */
export const POOL_EXHAUSTED = 'timeout exceeded when trying to connect';

/** How long a server may take to close its side of a connection, in milliseconds. */
const END_TIMEOUT_MS = 1_000;

/** How much longer than the server this side waits, so that the outcome is known. */
const GRACE_MS = 1_000;

/** What is known about the connection: which TLS mode works, and whether startup settings are accepted. */
interface Way {
  readonly index: number;
  /**
   * False behind a pooler such as PgBouncer, whose server connections serve others too: settings then apply to one
   * transaction.
   */
  readonly takesSettings: boolean;
}

/**
 * Opens a pool of connections to PostgreSQL or to a pooler in any mode. The statement timeout and the schema are
 * set when a connection starts. A pooler that refuses that gets them with each transaction, and every statement is
 * a transaction. Nothing else stays in a connection: no prepared statements, locks or LISTEN.
 */
export function openPostgresPool(
  target: PostgresTarget,
  options: PoolOptions,
): PostgresPool & { readonly use: PoolUse } {
  return new Pool(target, options);
}

/** Connections of a pool. */
export interface PoolUse {
  readonly used: number;
  readonly idle: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
  readonly max: number;
}

class Pool implements PostgresPool {
  readonly options = {};
  readonly #target: PostgresTarget;
  readonly #options: PoolOptions;
  #way: Way = { index: 0, takesSettings: true };
  #pool: pg.Pool;

  constructor(target: PostgresTarget, options: PoolOptions) {
    this.#target = target;
    this.#options = options;
    this.#pool = this.#open(this.#way);
  }

  async connect(): Promise<PostgresPoolClient> {
    for (;;) {
      const [pool, way] = [this.#pool, this.#way];
      try {
        const client = await pool.connect();
        assertPrimary(client);
        return wrap(client, this.#begin(), !way.takesSettings);
      } catch (error) {
        // Another call may have found the way meanwhile.
        if (way !== this.#way) continue;
        const next = this.#after(way, error);
        if (next === undefined) throw error;
        this.#way = next;
        this.#pool = this.#open(next);
        void pool.end().catch(() => undefined);
      }
    }
  }

  get use(): PoolUse {
    const { totalCount, idleCount: idle, waitingCount: waiting } = this.#pool;
    return { used: totalCount - idle, idle, waiting, max: this.#options.max };
  }

  end(): Promise<void> {
    return this.#pool.end();
  }

  #open({ index, takesSettings }: Way): pg.Pool {
    const { statementTimeoutMs } = this.#options;
    const options = [...this.#target.settings].map(
      ([name, value]) => `-c ${name}=${value.replaceAll(/[\\\s]/g, '\\$&')}`,
    );
    const pool = new pg.Pool({
      Client,
      application_name: 'asset-service',
      ...this.#target.ways[index],
      ...{ connectionTimeoutMillis: CONNECT_TIMEOUT_MS, keepAlive: true, max: this.#options.max },
      ...(statementTimeoutMs !== undefined && { query_timeout: statementTimeoutMs + GRACE_MS }),
      ...(takesSettings &&
        statementTimeoutMs !== undefined && {
          statement_timeout: statementTimeoutMs,
          // A process that hangs in a transaction would hold back the change log.
          idle_in_transaction_session_timeout: statementTimeoutMs,
        }),
      ...(takesSettings && options.length > 0 && { options: options.join(' ') }),
    });
    // An unhandled error of an idle connection would end the process; the next call opens another.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
    return pool;
  }

  /** What to try next after a connection error; undefined if another way cannot help. */
  #after({ index, takesSettings }: Way, error: unknown): Way | undefined {
    const { message } = error as Error;
    if (takesSettings && sqlState(error) === '08P01' && /startup parameter/.test(message)) {
      return { index, takesSettings: false };
    }
    const hasNoTls = /does not support SSL/.test(message);
    // With `allow`, a server that requires TLS reports no pg_hba entry for a connection without it.
    const wantsTls = sqlState(error) === '28000';
    const other = this.#target.ways[index + 1];
    return other !== undefined && (hasNoTls || wantsTls) ? { index: index + 1, takesSettings } : undefined;
  }

  /** One message that begins a transaction and sets its settings, also for poolers that drop startup settings. */
  #begin(): string {
    const { statementTimeoutMs } = this.#options;
    const settings = new Map(this.#target.settings);
    if (statementTimeoutMs !== undefined) {
      for (const name of ['statement_timeout', 'idle_in_transaction_session_timeout']) {
        settings.set(name, String(statementTimeoutMs));
      }
    }
    const set = [...settings].map(
      ([name, value]) => `set_config(${quoteText(name)}, ${quoteText(value)}, true)`,
    );
    return set.length === 0 ? 'begin' : `begin; select ${set.join(', ')}`;
  }
}

/** A connection that knows whether its server is a standby. PostgreSQL tells so since release 14. */
class Client extends pg.Client {
  isStandby = false;

  constructor(config?: pg.ClientConfig) {
    super(config);
    const { connection } = this as unknown as { connection: NodeJS.EventEmitter };
    connection.on('parameterStatus', (status: { parameterName: string; parameterValue: string }) => {
      if (status.parameterName === 'in_hot_standby') this.isStandby = status.parameterValue === 'on';
    });
  }

  override end(): Promise<void>;
  override end(callback: (error: Error) => void): void;
  override end(callback?: (error: Error) => void): Promise<void> | void {
    const { connection } = this as unknown as { connection: { readonly stream: Duplex } };
    // A server that hangs never closes it, and the process would not end.
    setTimeout(() => connection.stream.destroy(), END_TIMEOUT_MS).unref();
    return callback === undefined ? super.end() : super.end(callback);
  }
}

/** Discards a connection to a standby, which answers reads with what it has: a new file would be missing. */
function assertPrimary(client: pg.PoolClient): void {
  if (!(client instanceof Client && client.isStandby)) return;
  client.release(true);
  throw new SetupFault('database', 'the server is a standby: name the primary server, not a replica of it');
}

/**
 * Discards a broken connection, or one whose server became read-only; Kysely would use it again.
 *
 * @param alone - true if a statement outside a transaction must become one
 */
function wrap(client: pg.PoolClient, begin: string, alone: boolean): PostgresPoolClient {
  let broken: Error | undefined;
  let inTransaction = false;
  const send = async (text: string, values: readonly unknown[] = []) => {
    // Otherwise the rollback would wait for the same silent server again.
    if (broken) throw broken;
    try {
      return await client.query(text, [...values]);
    } catch (error) {
      if (isLost(error)) broken = error as Error;
      throw error;
    }
  };
  const query = async (text: string, values: readonly unknown[]) => {
    if (text === 'begin') {
      inTransaction = true;
      return send(begin);
    }
    if (text === 'commit' || text === 'rollback') inTransaction = false;
    else if (alone && !inTransaction) {
      await send(begin);
      try {
        const result = await send(text, values);
        await send('commit');
        return result;
      } catch (error) {
        await send('rollback').catch(() => undefined);
        throw error;
      }
    }
    return send(text, values);
  };
  return {
    query: query as unknown as PostgresPoolClient['query'],
    release: (destroy?: boolean) => client.release(destroy === true || broken !== undefined),
  };
}

/** True if the connection is unusable: broken, ended by the server, or the server is now a replica. */
function isLost(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined || /^(08|57P0|25006|25P03)/.test(state);
}

/** The code of a server error; undefined for a connection error. */
export function sqlState(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && severity !== undefined ? code : undefined;
}

function quoteText(text: string): string {
  return pg.escapeLiteral(text);
}
