export type { Clock } from './clock.ts';
export {
  ForeignLeaseError,
  InvalidArgumentError,
  LeaseLostError,
  LeaseReleasedError,
  LockHeldError,
  NotAcquiredError,
  QuorumUnreachableError,
  RedlockError,
  TooLateError,
} from './errors.ts';
export { Fencing } from './fencing.ts';
export type { Lease, ReleaseOutcome } from './lease.ts';
export { connectNodes } from './nodes.ts';
export type { Vote } from './poll.ts';
export { type AcquireOptions, type LockOptions, Redlock, type RetryOptions } from './redlock.ts';
