export {
  EvictionPolicyError,
  HardTimeLimitError,
  InvalidArgumentError,
  LockLostError,
  PermanentError,
  QueueClosedError,
  ResultTimeoutError,
  SoftTimeLimitError,
  TaskExpiredError,
  TaskFailedError,
  TaskQueueError,
  TaskRevokedError,
  UnknownTaskError,
} from './errors.ts';
export { Monitor, type Percentiles, type Snapshot } from './monitor.ts';
export { AsyncResult, GroupResult, type TaskState } from './result.ts';
export { type SandboxOptions, sandboxed } from './sandbox.ts';
export { type Connection, type Flow, type Schedule, TaskQueue, type TaskQueueOptions } from './task-queue.ts';
export {
  type Envelope,
  type Json,
  type Priority,
  type Result,
  type RetryPolicy,
  type SendOptions,
  type Signature,
  type Task,
  type TaskContext,
  type TaskOptions,
  type Tasks,
  task,
} from './tasks.ts';
export { type After, TaskWorker, type TaskWorkerOptions } from './worker.ts';
