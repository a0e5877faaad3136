export { type ChunkedOptions, chunked, nextTurn } from './chunked.ts';
export { type Delay, type DelayMeasure, measureDelay } from './delay.ts';
export {
  CounterRangeError,
  DeadlockError,
  EventLoopError,
  InvalidArgumentError,
  LockTimeoutError,
  OwnerDiedError,
  ThreadEndedError,
  WrongThreadError,
} from './errors.ts';
export { type LockOptions, Mutex } from './mutex.ts';
export { type FunctionName, type Input, type OffloadOptions, type Output, offload } from './offload.ts';
export { RingBuffer } from './ring-buffer.ts';
export { SharedCounter } from './shared-counter.ts';
export { type Block, type WatchdogOptions, watchdog } from './watchdog.ts';
