import type { Pool } from 'pg';
import type { AlarmState } from './alarm.ts';
import {
  type Alert,
  type Changes,
  type Counts,
  Desk,
  type DeskOptions,
  type DeskState,
  type Position,
  type Window,
} from './desk.ts';
import { checkSource, checkWhole, StoreUnavailableError, WindowWidthError } from './errors.ts';
import { Sketch } from './sketch.ts';
import { TopK } from './top-k.ts';
import { ConnectionLostError, type Db, LockTimeoutError, runTransaction } from './vendor/optimistic-lock/index.ts';
import { type View, viewOf } from './view.ts';

/** All times are milliseconds since the epoch. */
export const SCHEMA = `
CREATE TABLE IF NOT EXISTS analytics_desk (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  window_ms integer NOT NULL,
  version bigint NOT NULL DEFAULT 0,
  watermark double precision NOT NULL DEFAULT '-Infinity',
  counts jsonb NOT NULL DEFAULT '{"counted": 0, "late": 0, "malformed": 0, "future": 0, "repeated": 0}',
  alarms jsonb NOT NULL DEFAULT '[]'
);
CREATE TABLE IF NOT EXISTS analytics_sources (
  source text PRIMARY KEY,
  next bigint NOT NULL,
  missing bigint NOT NULL,
  newest bigint,
  seen_at bigint,
  arrived_at bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS analytics_sources_arrived ON analytics_sources (arrived_at);
CREATE TABLE IF NOT EXISTS analytics_windows (
  start bigint PRIMARY KEY,
  closed boolean NOT NULL,
  lines bigint NOT NULL,
  errors bigint NOT NULL,
  statuses jsonb NOT NULL,
  latency jsonb NOT NULL,
  top jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS analytics_open ON analytics_windows (start) WHERE NOT closed;
CREATE TABLE IF NOT EXISTS analytics_aside (
  source text NOT NULL,
  position bigint NOT NULL,
  reason text NOT NULL,
  at bigint,
  arrived_at bigint NOT NULL,
  text text NOT NULL,
  PRIMARY KEY (source, position)
);
CREATE INDEX IF NOT EXISTS analytics_aside_arrived ON analytics_aside (arrived_at);
CREATE TABLE IF NOT EXISTS analytics_alerts (
  rule text NOT NULL,
  start bigint NOT NULL,
  change text NOT NULL,
  told boolean NOT NULL DEFAULT false,
  PRIMARY KEY (rule, start)
);
CREATE INDEX IF NOT EXISTS analytics_untold ON analytics_alerts (start) WHERE NOT told;
`;

export interface BookOptions extends Partial<DeskOptions> {
  /** Give it a `query_timeout`, or a network that swallows all hangs its callers. */
  readonly pool: Pool;
}

/** A desk, and the version of the book that it knows. */
interface Memory {
  readonly desk: Desk;
  readonly version: number;
}

/** What has been counted, and up to where: both in Postgres, and both or neither. */
export class Book {
  protected readonly pool: Pool;
  protected readonly options: Partial<DeskOptions>;
  /** Spares it to read the book each time; any other process that writes makes it stale. */
  protected memory: Memory | undefined;

  /** @throws InvalidArgumentError */
  constructor({ pool, ...options }: BookOptions) {
    this.pool = pool;
    this.options = options;
    this.newDesk();
  }

  /**
   * Lets `work` file lines at the desk, and keeps what came of it together with the positions: one transaction, so that whoever
   * comes after a crash finds lines counted and passed, or neither. Any number of processes may call it at once.
   * @throws StoreUnavailableError, WindowWidthError
   */
  async update(work: (desk: Desk) => void): Promise<void> {
    const remembered = this.forgetDesk();
    this.memory = await this.run(async (tx) => {
      const { desk, version } = await this.openDesk(tx, remembered);
      work(desk);
      const changes = desk.changes();
      await this.writeWindows(tx, changes);
      await this.writePositions(tx, changes, desk);
      return { desk, version: version + 1 };
    });
  }

  /** What the live page shows, all of one moment. @throws StoreUnavailableError */
  async view(): Promise<View> {
    return this.run((tx) => viewOf(tx), 'REPEATABLE READ');
  }

  /** The number of the line that a source has to send next; 0 for one that is not known. @throws InvalidArgumentError, StoreUnavailableError */
  async next(source: string): Promise<number> {
    checkSource(source);
    const { rows } = await this.run((tx) =>
      tx.query<{ next: string }>('SELECT next FROM analytics_sources WHERE source = $1', [source]),
    );
    return Number(rows[0]?.next ?? 0);
  }

  /** Alerts of which nobody has been told: each rule's oldest, then its next ones, 100 at most. @throws StoreUnavailableError */
  async untold(): Promise<readonly Alert[]> {
    const { rows } = await this.run((tx) =>
      tx.query<{ rule: string; start: string; change: Alert['change'] }>(
        'SELECT rule, start, change FROM analytics_alerts WHERE NOT told ORDER BY row_number() OVER (PARTITION BY rule ORDER BY start), start LIMIT 100',
      ),
    );
    return rows.map(({ start, ...rest }) => ({ ...rest, start: Number(start) }));
  }

  /** @throws StoreUnavailableError */
  async told({ rule, start }: Alert): Promise<void> {
    await this.run((tx) =>
      tx.query('UPDATE analytics_alerts SET told = true WHERE rule = $1 AND start = $2', [rule, start]),
    );
  }

  /**
   * Deletes what is older: closed windows, their alerts, what was put aside, and sources that have sent nothing since. Such a
   * source begins at 0 again.
   * @param before milliseconds since the epoch
   * @throws InvalidArgumentError, StoreUnavailableError
   */
  async retain(before: number): Promise<void> {
    checkWhole('before', before, 0, Number.MAX_SAFE_INTEGER);
    await this.run(async (tx) => {
      await tx.query('UPDATE analytics_desk SET version = version + 1');
      await tx.query('DELETE FROM analytics_windows WHERE closed AND start < $1', [before]);
      await tx.query('DELETE FROM analytics_alerts WHERE told AND start < $1', [before]);
      await tx.query('DELETE FROM analytics_aside WHERE arrived_at < $1', [before]);
      await tx.query('DELETE FROM analytics_sources WHERE arrived_at < $1', [before]);
    });
  }

  /** What was remembered is for one update: one that fails leaves a desk that nobody knows the state of. */
  protected forgetDesk(): Memory | undefined {
    const { memory } = this;
    this.memory = undefined;
    return memory;
  }

  /** Whoever has the desk's row is alone with the book until the end of the transaction. */
  protected async openDesk(tx: Db, remembered: Memory | undefined): Promise<Memory> {
    const { windowMs } = this.newDesk().o;
    const lock = () =>
      tx.query<{
        window_ms: number;
        version: string;
        watermark: number;
        counts: Counts;
        alarms: [string, AlarmState][];
      }>('SELECT * FROM analytics_desk FOR UPDATE');
    let [row] = (await lock()).rows;
    if (row === undefined) {
      await tx.query('INSERT INTO analytics_desk (window_ms) VALUES ($1) ON CONFLICT DO NOTHING', [windowMs]);
      [row] = (await lock()).rows;
    }
    if (row === undefined) throw new TypeError('The desk has no row: somebody deletes it while it is in use.');
    if (row.window_ms !== windowMs) throw new WindowWidthError(windowMs, row.window_ms);
    const version = Number(row.version);
    if (remembered?.version === version) return remembered;
    const { watermark, counts, alarms } = row;
    const windows = await openWindows(tx, this.newDesk().o.topSize);
    const desk = this.newDesk({ watermark, counts, alarms: new Map(alarms), windows, positions: await positions(tx) });
    return { desk, version };
  }

  protected async writeWindows(tx: Db, { windows, aside, alerts }: Changes): Promise<void> {
    if (windows.length > 0) {
      const fields = (of: (window: Window) => unknown) => windows.map(of);
      const texts = (of: (window: Window) => unknown) => windows.map((window) => JSON.stringify(of(window)));
      await tx.query(
        `INSERT INTO analytics_windows
          SELECT start, closed, lines, errors, statuses::jsonb, latency::jsonb, top::jsonb FROM unnest(
            $1::bigint[], $2::boolean[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[]
          ) AS it (start, closed, lines, errors, statuses, latency, top)
          ON CONFLICT (start) DO UPDATE SET (closed, lines, errors, statuses, latency, top) =
            (excluded.closed, excluded.lines, excluded.errors, excluded.statuses, excluded.latency, excluded.top)`,
        [
          fields((it) => it.start),
          fields((it) => it.closed),
          fields((it) => it.lines),
          fields((it) => it.errors),
          texts((it) => it.statuses),
          texts((it) => it.latency),
          texts((it) => it.top),
        ],
      );
    }
    if (aside.length > 0) {
      await tx.query(
        `INSERT INTO analytics_aside SELECT * FROM unnest(
          $1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[]) ON CONFLICT DO NOTHING`,
        [
          aside.map((it) => it.source),
          aside.map((it) => it.position),
          aside.map((it) => it.reason),
          aside.map((it) => it.at),
          aside.map((it) => it.arrivedAt),
          aside.map((it) => it.text),
        ],
      );
    }
    for (const { rule, start, change } of alerts) {
      await tx.query('INSERT INTO analytics_alerts VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [rule, start, change]);
    }
  }

  /** Up to where it is counted: the positions of the sources, the watermark and the alarms. */
  protected async writePositions(tx: Db, { positions }: Changes, desk: Desk): Promise<void> {
    const all = [...positions];
    await tx.query(
      `INSERT INTO analytics_sources SELECT * FROM unnest(
          $1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
        ON CONFLICT (source) DO UPDATE SET (next, missing, newest, seen_at, arrived_at) =
          (excluded.next, excluded.missing, excluded.newest, excluded.seen_at, excluded.arrived_at)`,
      [
        all.map(([source]) => source),
        all.map(([, it]) => it.next),
        all.map(([, it]) => it.missing),
        all.map(([, it]) => it.seen?.newest),
        all.map(([, it]) => it.seen?.arrivedAt),
        all.map(([, it]) => it.arrivedAt),
      ],
    );
    await tx.query('UPDATE analytics_desk SET version = version + 1, watermark = $1, counts = $2, alarms = $3', [
      desk.time,
      JSON.stringify(desk.counts),
      JSON.stringify(desk.alarmStates()),
    ]);
  }

  protected newDesk(state?: DeskState): Desk {
    return new Desk(this.options, state);
  }

  protected async run<T>(
    body: (tx: Db) => Promise<T>,
    isolation: 'READ COMMITTED' | 'REPEATABLE READ' = 'READ COMMITTED',
  ) {
    try {
      return await runTransaction(this.pool, body, { isolation });
    } catch (error) {
      const silent = error instanceof ConnectionLostError || error instanceof LockTimeoutError;
      throw silent ? new StoreUnavailableError('Postgres', error) : error;
    }
  }
}

async function openWindows(tx: Db, topSize: number): Promise<Window[]> {
  const { rows } = await tx.query<{
    start: string;
    lines: string;
    errors: string;
    statuses: number[];
    latency: [number, number][];
    top: [string, number, number][];
  }>('SELECT * FROM analytics_windows WHERE NOT closed');
  return rows.map(({ start, lines, errors, statuses, latency, top }) => ({
    start: Number(start),
    lines: Number(lines),
    errors: Number(errors),
    statuses,
    latency: new Sketch(latency),
    top: new TopK(topSize, top),
    closed: false,
  }));
}

async function positions(tx: Db): Promise<Map<string, Position>> {
  const { rows } = await tx.query<{
    source: string;
    next: string;
    missing: string;
    newest: string | null;
    seen_at: string | null;
    arrived_at: string;
  }>('SELECT * FROM analytics_sources');
  return new Map(
    rows.map(({ source, next, missing, newest, seen_at, arrived_at }) => {
      const seen = newest === null ? undefined : { newest: Number(newest), arrivedAt: Number(seen_at) };
      return [source, { next: Number(next), missing: Number(missing), arrivedAt: Number(arrived_at), seen }];
    }),
  );
}
