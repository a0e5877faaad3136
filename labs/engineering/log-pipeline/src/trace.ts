import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';

/** The request that a line belongs to, as W3C Trace Context names it. */
export interface Trace {
  /** 32 hexadecimal digits, the same in every service that the request passes. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
}

const current = new AsyncLocalStorage<Trace>();

/** Runs `work` in `trace`: every line that it writes, across its awaits and timers, carries the two ids. */
export function withTrace<T>(trace: Trace, work: () => T): T {
  return current.run(trace, work);
}

export const currentTrace = (): Trace | undefined => current.getStore();

/**
 * The trace of a request by its `traceparent` header; a new one when it has none, or one that is no such header: what
 * a client sends must not get into the log as it is.
 */
export function traceOf(traceparent?: unknown): Trace {
  const header = typeof traceparent === 'string' ? traceparent : '';
  const [, given = ''] = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}$/.exec(header) ?? [];
  return { traceId: given || randomBytes(16).toString('hex'), spanId: randomBytes(8).toString('hex') };
}
