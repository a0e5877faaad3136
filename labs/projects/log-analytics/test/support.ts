import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** One line of the access log. */
export const lineOf = (at: number, path = '/', status = 200, ms = 10): string =>
  `${new Date(at).toISOString()} GET ${path} ${status} ${ms}`;

export const SEED = Number(process.env['LAB_SEED'] ?? 20_261_129);
export const NOON = Date.parse('2025-11-29T12:00:00Z');
/** Ten seconds a window, five for stragglers, thirty for the silent. */
export const O = { windowMs: 10_000, latenessMs: 5_000, idleMs: 30_000, holdMs: 600_000 };

/** Seconds after noon, which can be read. */
export const after = (ms: number) => (ms - NOON) / 1_000;
/** The lines of each window that was touched, by its start after noon in seconds. */
export const linesOf = (windows: readonly { start: number; lines: number }[]) =>
  Object.fromEntries(windows.map(({ start, lines }) => [after(start), lines]));
/** Seconds after noon, as lines. */
export const at = (...seconds: number[]) => seconds.map((it) => lineOf(NOON + it * 1_000));
/** It rings at a tenth of errors, three windows in a row, and no more at a fiftieth. */
export const RULE = { name: 'errors', share: 0.1, clear: 0.02, windows: 3, least: 20 };

/** In pieces of `size`. */
export const piecesOf = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));

/** What another tool makes of the same lines: $1 all of them, $2 the width of a window in ms. */
export const INDEPENDENT = `
  WITH line AS (
    SELECT split_part(text, ' ', 1)::timestamptz AS at, split_part(split_part(text, ' ', 3), '?', 1) AS path,
      split_part(text, ' ', 4)::integer AS status, split_part(text, ' ', 5)::double precision AS ms
    FROM unnest($1::text[]) AS text
  )
  SELECT (extract(epoch FROM date_bin($2 * interval '1 ms', at, 'epoch')) * 1000)::bigint AS start,
    count(*)::integer AS lines, count(*) FILTER (WHERE status >= 500)::integer AS errors,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY ms) AS p95, mode() WITHIN GROUP (ORDER BY path) AS top
  FROM line GROUP BY 1 ORDER BY 1`;

export interface Independent {
  readonly start: string;
  readonly lines: number;
  readonly errors: number;
  readonly p95: number;
  readonly top: string;
}

/** A process that counts. It ends with whoever started it. */
export class Clerk {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param o.impl absolute */
  static async hire(o: {
    postgres: string;
    schema: string;
    redis: string;
    key: string;
    impl: string;
    options: object;
  }): Promise<Clerk> {
    const args = [o.postgres, o.schema, o.redis, o.key, o.impl, JSON.stringify(o.options)];
    const child = spawn(process.execPath, [join(import.meta.dirname, 'clerk.ts'), ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    return new Clerk(child);
  }

  /** Stops him where he is, or lets him go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
