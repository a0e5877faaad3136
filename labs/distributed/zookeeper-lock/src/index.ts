export {
  ConnectionLossError,
  ConnectTimeoutError,
  ForeignDataError,
  InvalidArgumentError,
  LockLostError,
  LockTimeoutError,
  RefusedError,
  SessionClosedError,
  SessionExpiredError,
  SessionSuspendedError,
  ZooKeeperLockError,
} from './errors.ts';
export { type Fenced, FencedStore } from './fencing.ts';
export type { Lock, ReleaseOutcome } from './lock.ts';
export { type Leader, Locks } from './locks.ts';
export type { ConnectOptions, LockOptions } from './options.ts';
export { type Contender, queueOf } from './queue.ts';
export { Session, type SessionState, type ZNode } from './session.ts';
