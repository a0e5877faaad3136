import type { ClientConfig } from 'pg';
import { InvalidArgumentError } from './errors.ts';
import type { Holder } from './lease.ts';

export interface PoolOptions {
  /**
   * Where to connect. Unless it says otherwise Postgres ends a statement after 30 s (`statement_timeout`), and whoever
   * stands still in a transaction after 10 s (`idle_in_transaction_session_timeout`). A server that is gone without a word
   * is noticed after 20 s of silence (`keepAlive`), one that is frozen only by a `query_timeout` of yours.
   */
  readonly connection: string | ClientConfig;
  /** Connections that stay however idle. Default 0. */
  readonly min?: number;
  /**
   * Connections at most, those on their way included. Default 10. One that was ended counts no more, though Postgres may
   * need a moment to see it, and finishes the statement that it is at.
   */
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
  /** Within this the server answers a new connection, or a look at an idle one. Less than a caller waits. Default 2000. */
  readonly answerMs?: number;
  /** Out for so long, a connection is reported to `onLeak`. Default 0: none is, and the stack (5 µs) is not kept. */
  readonly leakAfterMs?: number;
  /** Default: a warning of the process. */
  readonly onLeak?: (leak: Holder) => void;
}

/** Checked and complete. @throws InvalidArgumentError */
export function settingsOf({ connection, onLeak = ({ taken }) => process.emitWarning(taken), ...given }: PoolOptions) {
  const few = { min: 0, max: 10, maxQueue: 100 };
  const long = { acquireTimeoutMs: 5_000, idleMs: 30_000, maxAgeMs: 1_800_000, answerMs: 2_000, leakAfterMs: 0 };
  const settings = { ...few, ...long, validateAfterMs: 1_000, ...given };
  for (const [name, value] of Object.entries(settings)) {
    const fault = faultOf(name, value, /^(min|maxQueue|validateAfterMs|leakAfterMs)$/.test(name) ? 0 : 1);
    if (fault) throw fault;
  }
  const { min, max, answerMs: connectionTimeoutMillis } = settings;
  if (min > max) throw new InvalidArgumentError(`min is ${min}, and max only ${max}`);
  const client = typeof connection === 'string' ? { connectionString: connection } : connection;
  // Of '' and null pg makes whatever server runs on this machine.
  if (typeof client !== 'object' || client === null || connection === '')
    throw new InvalidArgumentError('connection: give a URL, or the config of a pg Client');
  const limits = { statement_timeout: 30_000, idle_in_transaction_session_timeout: 10_000 };
  const alive = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 };
  return { ...settings, onLeak, connection: { connectionTimeoutMillis, ...limits, ...alive, ...client } };
}

/** What is wrong with a number; a timer takes no more than 2^31 - 1 ms, and makes 1 ms of more, of NaN and of Infinity. */
export function faultOf(name: string, value: unknown, least = 0): InvalidArgumentError | undefined {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value < 2 ** 31) return undefined;
  return new InvalidArgumentError(`${name} is ${String(value)}: give a whole number from ${least} on`);
}
