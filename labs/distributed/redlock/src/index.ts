export type { Clock } from './clock.ts';
export {
  InvalidArgumentError,
  LeaseLostError,
  LeaseReleasedError,
  LockHeldError,
  NotAcquiredError,
  QuorumUnreachableError,
  RedlockError,
  TooLateError,
  WriteRolledBackError,
} from './errors.ts';
export { Fencing } from './fencing.ts';
export type { Lease, ReleaseOutcome } from './lease.ts';
export { connectNodes } from './nodes.ts';
export type { AcquireOptions, LockOptions, RetryOptions } from './options.ts';
export type { Vote } from './poll.ts';
export { Redlock } from './redlock.ts';
