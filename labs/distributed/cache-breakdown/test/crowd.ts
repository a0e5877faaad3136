import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Pool } from 'pg';

export interface Tag {
  readonly cents: number;
  readonly version: number;
}

export type Technique =
  | 'nothing'
  | 'jittered TTL'
  | 'single flight'
  | 'lease'
  | 'stale while loading'
  | 'early refresh'
  | 'all, and memory'
  | 'bentocache'
  | 'cacheable';

/** What a process of customers is told to do: each reads once, at once; or, with `forMs`, again and again for that long. */
export interface Order {
  readonly technique: Technique;
  readonly key: string;
  readonly ttlMs: number;
  readonly loadMs: number;
  readonly customers: number;
  readonly forMs?: number;
  readonly beta?: number;
}

/**
 * One look at the price: from, to, the version that was seen, and whether the customer waited for a query of his process.
 * Milliseconds since 1970, comparable across processes.
 */
export type Shopping = readonly [from: number, to: number, version: number, waited: boolean];

export interface Report {
  readonly visits: readonly Shopping[];
  readonly failed: number;
  readonly ms: number;
}

/** A process full of customers. */
export class Shop implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async open(to: { redisUrl: string; databaseUrl: string; prefix: string }): Promise<Shop> {
    const child = fork(join(import.meta.dirname, 'customers.ts'), [JSON.stringify(to)], { execArgv: [] });
    const shop = new Shop(child);
    await shop.#next('ready');
    return shop;
  }

  async send(order: Order): Promise<Report> {
    this.#child.send(order);
    return this.#next<Report>('report');
  }

  /** Resolves when this process begins its next load. */
  async loads(): Promise<void> {
    await this.#next('loading');
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const gone =
      this.#child.exitCode === null && this.#child.signalCode === null ? once(this.#child, 'exit') : undefined;
    this.#child.kill('SIGKILL');
    await gone;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  #next<T>(kind: 'ready' | 'report' | 'loading'): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        this.#child.off('message', onMessage).off('exit', onExit);
        settle();
      };
      const onExit = () => end(() => reject(new Error(`the process ended before its ${kind}`)));
      const onMessage = (message: { [key: string]: T }) => {
        if (message['error'] !== undefined) end(() => reject(new Error(String(message['error']))));
        else if (kind in message) end(() => resolve(message[kind] as T));
      };
      this.#child.on('message', onMessage).on('exit', onExit);
    });
  }
}

/** The warehouse: the prices in Postgres, and how many queries it has answered. */
export class Depot implements AsyncDisposable {
  readonly pool: Pool;
  /** Versions of the price, each with the moment from which it was the newest. */
  readonly changes: { readonly version: number; readonly at: number }[] = [];

  constructor(databaseUrl: string) {
    this.pool = new Pool({ connectionString: databaseUrl, max: 2 });
  }

  async stock(): Promise<void> {
    await this.pool.query(
      'CREATE TABLE prices (item text PRIMARY KEY, cents int NOT NULL, version int NOT NULL); CREATE SEQUENCE asked',
    );
  }

  async tag(item: string): Promise<void> {
    await this.pool.query(
      `INSERT INTO prices VALUES ($1, 1290, 1)
       ON CONFLICT (item) DO UPDATE SET cents = prices.cents - 1, version = prices.version + 1`,
      [item],
    );
    const { rows } = await this.pool.query<{ version: number }>('SELECT version FROM prices WHERE item = $1', [item]);
    this.changes.push({ version: rows[0]?.version ?? 0, at: performance.timeOrigin + performance.now() });
  }

  /** Keeps every query for a price waiting, until the returned function is called. */
  async hold(): Promise<() => Promise<void>> {
    const client = await this.pool.connect();
    await client.query('BEGIN; LOCK TABLE prices');
    return async () => {
      await client.query('COMMIT');
      client.release();
    };
  }

  /** Queries for prices that Postgres has answered so far. */
  async answered(): Promise<number> {
    const { rows } = await this.pool.query<{ n: number }>(
      'SELECT (last_value - CASE WHEN is_called THEN 0 ELSE 1 END)::int AS n FROM asked',
    );
    return rows[0]?.n ?? 0;
  }

  /** How old what was seen was at worst, in milliseconds: the time since a newer price had been there, when it was asked for. */
  staleness(visits: readonly Shopping[]): number {
    const successor = new Map(this.changes.map(({ version, at }) => [version - 1, at]));
    return Math.max(0, ...visits.map(([from, , version]) => from - (successor.get(version) ?? from)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
  }
}

/** The slowest but one in a hundred, in milliseconds. */
export function p99(visits: readonly Shopping[]): number {
  const waits = visits.map(([from, to]) => to - from).sort((a, b) => a - b);
  return waits[Math.min(waits.length - 1, Math.floor(waits.length * 0.99))] ?? 0;
}
