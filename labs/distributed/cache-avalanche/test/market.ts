import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@shared/testkit';
import type { Redis } from 'ioredis';
import { Pool } from 'pg';
import { DatabaseSparedError, type Load, type Read } from '../src/index.ts';

export const YOGHURTS = Array.from({ length: 240 }, (_, n) => `yoghurt ${n}`);
export const SLOT_MS = 50;
const BEFORE_MS = 150;
const AFTER_MS = 300;
const TICK_MS = 10;

export interface Tag {
  readonly cents: number;
  /** When the database said so, in milliseconds since 1970. */
  readonly at: number;
}

export type Reader = (key: string, load: Load<Tag>) => Promise<Read<Tag>>;

export interface DayOptions {
  /** How long after the shelves were filled their date is, in milliseconds. */
  readonly expiresIn: number;
  /** Nothing is on the shelves. */
  readonly empty?: boolean;
  /** Before the doors open; its queries are counted, but not as the customers'. */
  readonly before?: () => Promise<unknown>;
  /** Once the shelves are filled. */
  readonly onceFilled?: () => void;
}

export interface Outcome {
  readonly name: string;
  readonly queries: number;
  /** Queries since the doors opened. */
  readonly customers: number;
  readonly peak: number;
  /** Queries at once, at most. */
  readonly most: number;
  readonly p99: number;
  /** Customers who got an error from the database or its pool, and those whom a gate refused. */
  readonly failed: number;
  readonly spared: number;
  readonly staleness: number;
  readonly sources: ReadonlyMap<string, number>;
  readonly slots: readonly (readonly [number, number])[];
}

const now = () => performance.timeOrigin + performance.now();

/** What most of us write first: look, load, store. */
export function textbook(redis: Redis, prefix: string, ttlMs: number): Reader {
  const never = new AbortController().signal;
  return async (key, load) => {
    const text = await redis.get(prefix + key);
    if (text !== null) return { value: JSON.parse(text), source: 'hit', ageMs: 0 };
    const value = await load(never);
    await redis.set(prefix + key, JSON.stringify(value), 'PX', ttlMs);
    return { value, source: 'load', ageMs: 0 };
  };
}

/**
 * How much slower the market must be on this machine for its customers to be served as they come: 1 on an ordinary one,
 * 5 at most. A machine that is busy with the crowd itself would show nothing of caches.
 */
export async function paceOf(redis: Redis): Promise<number> {
  const ask = () => Promise.all(Array.from({ length: 240 }, () => redis.get('calibration')));
  for (let warm = 0; warm < 10; warm++) await ask();
  const from = now();
  for (let round = 0; round < 20; round++) await ask();
  // What customers ask in 1.2 s: an eighth of that is little enough.
  return Math.min(5, Math.ceil((now() - from) / 150));
}

/** The supermarket: customers, and a depot in Postgres with a pool of ten connections. */
export class Market implements AsyncDisposable {
  readonly #pool: Pool;
  readonly #pace: number;
  #asked: number[] = [];
  #running = 0;
  #most = 0;

  /** @param pace Factor for all times. Default 1. */
  constructor(url: string, pace = 1) {
    this.#pace = pace;
    this.#pool = new Pool({ connectionString: url, max: 10, connectionTimeoutMillis: 200 * pace });
    // A connection that is cut while it's idle; the next query gets a new one.
    this.#pool.on('error', () => {});
  }

  /** All ten connections are made: on a busy machine to make one may take longer than a customer waits. */
  async open(): Promise<void> {
    const connected = async () => {
      await Promise.allSettled(Array.from({ length: 10 }, () => this.#pool.query('SELECT pg_sleep(0.01)')));
      return this.#pool.totalCount === 10 && this.#pool.idleCount === 10;
    };
    await until(connected, { timeoutMs: 30_000, what: 'ten connections to Postgres' });
  }

  query(key: string): Load<Tag> {
    return async () => {
      this.#asked.push(now());
      this.#most = Math.max(this.#most, ++this.#running);
      try {
        const sql = 'SELECT length($1) AS cents, extract(epoch FROM clock_timestamp()) * 1000 AS at, pg_sleep($2)';
        const { rows } = await this.#pool.query<{ cents: number; at: string }>(sql, [key, 0.01 * this.#pace]);
        const [row] = rows;
        return row ? { cents: row.cents, at: Number(row.at) } : null;
      } finally {
        this.#running--;
      }
    };
  }

  /** The half second around the date: 40 customers every 10 ms, each at another shelf. */
  async day(name: string, read: Reader, options: DayOptions): Promise<Outcome> {
    const [beforeMs, afterMs] = [BEFORE_MS * this.#pace, AFTER_MS * this.#pace];
    const [tickMs, slotMs] = [TICK_MS * this.#pace, SLOT_MS * this.#pace];
    const filled = now();
    const load: Load<Tag> = async () => ({ cents: 7, at: now() });
    // As many at a time as a gate lets in.
    for (let at = 0; at < YOGHURTS.length && !options.empty; at += 20) {
      await Promise.all(YOGHURTS.slice(at, at + 20).map((key) => read(key, load)));
    }
    options.onceFilled?.();
    [this.#asked, this.#most] = [[], 0];
    await options.before?.();
    const date = options.empty ? now() : filled + options.expiresIn;
    await delay(Math.max(0, date - beforeMs - now()));
    const opened = now();
    if (options.onceFilled) this.#asked = this.#asked.filter((at) => at >= opened);
    const visits: Promise<void>[] = [];
    const waits: number[] = [];
    const sources = new Map<string, number>();
    let [failed, spared, staleness] = [0, 0, 0];
    const visit = async (key: string) => {
      const from = now();
      try {
        const { value, source } = await read(key, this.query(key));
        sources.set(source, (sources.get(source) ?? 0) + 1);
        staleness = Math.max(staleness, from - (value?.at ?? from));
      } catch (error) {
        if (error instanceof DatabaseSparedError) spared++;
        else failed++;
      }
      waits.push(now() - from);
    };
    let shelf = 0;
    const from = options.empty ? now() : date - beforeMs;
    const ticks = (beforeMs + afterMs) / tickMs;
    for (let tick = 0; tick < ticks; tick++) {
      for (let n = 0; n < 40; n++) visits.push(visit(YOGHURTS[shelf++ % YOGHURTS.length] ?? ''));
      await delay(Math.max(0, from + (tick + 1) * tickMs - now()));
    }
    await Promise.all(visits);
    const slots = Array.from({ length: (beforeMs + afterMs) / slotMs }, (_, slot) => {
      const start = from + slot * slotMs;
      const end = slot === ticks - 1 ? Number.POSITIVE_INFINITY : start + slotMs;
      return [Math.round(start - from - beforeMs), this.#asked.filter((at) => at >= start && at < end).length] as const;
    });
    waits.sort((a, b) => a - b);
    return {
      name,
      queries: this.#asked.length,
      customers: this.#asked.filter((at) => at >= opened).length,
      peak: Math.max(...slots.map(([, queries]) => queries)),
      most: this.#most,
      p99: waits[Math.floor(waits.length * 0.99)] ?? 0,
      failed,
      spared,
      staleness,
      sources,
      slots,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end();
  }
}
