export type { PoolStats } from './base-pool.ts';
export {
  BrokenPoolError,
  CancelledError,
  InvalidArgumentError,
  InvalidStateError,
  OutOfMemoryError,
  PoolError,
  QueueFullError,
  ShutdownError,
  TaskTimeoutError,
  UncloneableError,
  WaitTimeoutError,
  WorkerCrashedError,
  type WorkerExit,
} from './errors.ts';
export { Executor } from './executor.ts';
export { Future, type FutureState } from './future.ts';
export type { ExecutorOptions, Input, MapOptions, Output, SubmitOptions, TaskName } from './options.ts';
export type { ErrorClass } from './remote-error.ts';
export type { WorkerKind } from './transport.ts';
export { type Awaitable, asCompleted, wait } from './waiting.ts';
