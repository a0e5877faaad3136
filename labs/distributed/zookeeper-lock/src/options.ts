import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';

/** Node fires a timer beyond this at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** A node holds 1 MB, and a request is no longer either. */
const MOST_DATA = 1_000_000;
const LONGEST_PATH = 4_000;

/** What ZooKeeper refuses in a path: control characters, and whatever takes two of Java's UTF-16 chars. */
const FORBIDDEN = /[\p{Cc}\p{Cs}\ue000-\uf8ff\ufff0-\u{10ffff}]/u;

export interface ConnectOptions {
  /**
   * Milliseconds of silence after which ZooKeeper ends the session. Default 10 000. The server has the last word, from 2
   * to 20 of its ticks: `session.timeoutMs` is what it granted.
   */
  readonly sessionTimeoutMs?: number;
  /** Milliseconds until an unreachable ZooKeeper is given up. Default 10 000. */
  readonly timeoutMs?: number;
  /** Ends the attempt; `connect` rejects with its reason. */
  readonly signal?: AbortSignal;
}

export interface LockOptions {
  /** `write` (default): alone. `read`: beside other readers. */
  readonly mode?: 'read' | 'write';
  /** Milliseconds to wait for those in front. 0: only if nobody is. Default: as long as the session lives. */
  readonly timeoutMs?: number;
  /** Ends the wait; `lock` rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** @throws InvalidArgumentError unless `text` is `host:port,host:port`, with a path at its end if all is to lie under it. */
export function assertConnectString(text: string): void {
  const [hosts, root] = typeof text === 'string' ? (/^([^/]*)(\/.*)?$/.exec(text)?.slice(1) ?? []) : [];
  const good = (host: string) => {
    const [match, port = '2181'] = /^[^\s:,/[\]]+(?::(\d{1,5}))?$/.exec(host) ?? [];
    // At a port beyond, the client would throw from inside of a timer, which would end the process.
    return match !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
  };
  if (!hosts?.split(',').every(good)) {
    throw new InvalidArgumentError(
      `A connect string is host:port,host:port/path (IPv6 by a name only); it is ${inspect(text)}.`,
    );
  }
  if (root !== undefined) assertPath(root);
}

/** @throws InvalidArgumentError on what is no path of a node, or would be another one for ZooKeeper. */
export function assertPath(path: string): void {
  const parts = typeof path === 'string' && path.startsWith('/') ? path.slice(1).split('/') : [''];
  const good = parts.every((part) => !['', '.', '..'].includes(part) && !FORBIDDEN.test(part));
  if (good && parts[0] !== 'zookeeper' && Buffer.byteLength(path) <= LONGEST_PATH) return;
  throw new InvalidArgumentError(
    `A path is /part/part, of at most ${LONGEST_PATH} bytes, none of them a control character, an emoji, ".", ".." or ` +
      `ZooKeeper's own /zookeeper; it is ${inspect(path, { maxStringLength: 100 })}.`,
  );
}

/** @throws InvalidArgumentError on a text that would not come back as it was, or that no node can hold. */
export function assertData(what: string, text: string): void {
  if (typeof text === 'string' && text.isWellFormed() && Buffer.byteLength(text) <= MOST_DATA) return;
  throw new InvalidArgumentError(
    `${what} must be well-formed Unicode of at most ${MOST_DATA} bytes; it is ${inspect(text, { maxStringLength: 100 })}.`,
  );
}

/** @throws InvalidArgumentError on what is no name of a candidate. */
export function assertId(id: string): void {
  if (id === '') throw new InvalidArgumentError('An id must not be empty.');
  assertData('An id', id);
}

const MOST_FENCE = 2n ** 63n - 1n;

/** @throws InvalidArgumentError unless `fence` is what a lock has. */
export function assertFence(fence: bigint): void {
  if (typeof fence === 'bigint' && fence >= 0n && fence <= MOST_FENCE) return;
  throw new InvalidArgumentError(`A fence is a bigint from 0 to ${MOST_FENCE}; it is ${inspect(fence)}.`);
}

/** @throws InvalidArgumentError unless `value` is a whole number of milliseconds from `least` on. */
function assertTimeMs(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value <= LONGEST_TIMER_MS) return;
  throw new InvalidArgumentError(
    `${name} must be a whole number of milliseconds from ${least} to ${LONGEST_TIMER_MS}; it is ${inspect(value)}.`,
  );
}

/** @throws InvalidArgumentError on options that no session can be made from. */
export function assertConnectOptions(options: ConnectOptions): void {
  assertOptions(options);
  const { sessionTimeoutMs = 1, timeoutMs = 1 } = options;
  assertTimeMs('sessionTimeoutMs', sessionTimeoutMs, 1);
  assertTimeMs('timeoutMs', timeoutMs, 1);
}

/** @throws InvalidArgumentError on options that no lock can be made from. */
export function assertLockOptions(options: LockOptions): void {
  assertOptions(options);
  const { mode = 'write', timeoutMs } = options;
  if (mode !== 'read' && mode !== 'write') throw new InvalidArgumentError(`mode is ${inspect(mode)}: read or write.`);
  if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) assertTimeMs('timeoutMs', timeoutMs, 0);
}

function assertOptions(options: { readonly signal?: AbortSignal }): void {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError(`options must be an object; they are ${inspect(options)}.`);
  }
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new InvalidArgumentError(`signal must be an AbortSignal; it is ${inspect(signal, { depth: 0 })}.`);
  }
}

/** The outcome of `promise`, or the reason of `signal` as soon as it aborts, even if the promise never settles. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
