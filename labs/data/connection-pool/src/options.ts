import type { ClientConfig } from 'pg';
import { InvalidArgumentError } from './errors.ts';
import type { Holder } from './lease.ts';

export interface PoolOptions {
  /**
   * Where to connect. Unless it says otherwise Postgres ends a statement after 30 s (`statement_timeout`), and whoever
   * stands still in a transaction after 10 s (`idle_in_transaction_session_timeout`).
   */
  readonly connection: string | ClientConfig;
  /** Connections that stay however idle. Default 0. */
  readonly min?: number;
  /** Connections at most, those on their way included. Default 10. */
  readonly max?: number;
  /** Callers that may wait beyond those for whom a connection is on its way. Default 100. */
  readonly maxQueue?: number;
  /** How long a caller waits. Default 5000. */
  readonly acquireTimeoutMs?: number;
  /** Idle for so long, a connection beyond `min` is closed. Default 30,000. */
  readonly idleMs?: number;
  /** Older than this, a connection is closed once it is idle. Default 1,800,000: half an hour. */
  readonly maxAgeMs?: number;
  /** Idle for so long, a connection is asked for a sign of life before it is lent; 0: always. Default 1000. */
  readonly validateAfterMs?: number;
  /** Within this the server answers a new connection, or a look at an idle one. Default 5000. */
  readonly answerMs?: number;
  /** Out for so long, a connection is reported to `onLeak`. Default 0: none is, and the stack (5 µs) is not kept. */
  readonly leakAfterMs?: number;
  /** Default: a warning of the process. */
  readonly onLeak?: (leak: Holder) => void;
}

/** Checked and complete. @throws InvalidArgumentError */
export function settingsOf({ connection, onLeak = ({ taken }) => process.emitWarning(taken), ...given }: PoolOptions) {
  const few = { min: 0, max: 10, maxQueue: 100 };
  const long = { acquireTimeoutMs: 5_000, idleMs: 30_000, maxAgeMs: 1_800_000, answerMs: 5_000, leakAfterMs: 0 };
  const settings = { ...few, ...long, validateAfterMs: 1_000, ...given };
  for (const [name, value] of Object.entries(settings)) {
    const least = /^(min|maxQueue|validateAfterMs|leakAfterMs)$/.test(name) ? 0 : 1;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value < 2 ** 31) continue;
    throw new InvalidArgumentError(`${name} is ${String(value)}: give a whole number from ${least} on`);
  }
  const { min, max, answerMs: connectionTimeoutMillis } = settings;
  if (min > max) throw new InvalidArgumentError(`min is ${min}, and max only ${max}`);
  const client = typeof connection === 'string' ? { connectionString: connection } : connection;
  if (typeof client !== 'object')
    throw new InvalidArgumentError('connection: give a URL, or the config of a pg Client');
  const limits = { statement_timeout: 30_000, idle_in_transaction_session_timeout: 10_000 };
  return { ...settings, onLeak, connection: { connectionTimeoutMillis, ...limits, ...client } };
}
