export { Barrier } from './barrier.ts';
export { Channel } from './channel.ts';
export { Condition, type HeldCondition } from './condition.ts';
export {
  AsyncError,
  CancelledError,
  ChannelClosedError,
  GroupClosedError,
  InvalidArgumentError,
  LockNotHeldError,
  TaskGroupError,
  TimeoutError,
  UnresponsiveError,
} from './errors.ts';
export { Event } from './event.ts';
export { type MapBoundedOptions, mapBounded } from './map-bounded.ts';
export type { WaitOptions } from './options.ts';
export { Lock, Semaphore } from './semaphore.ts';
export { type ShieldOptions, shield } from './shield.ts';
export type { Source } from './source.ts';
export { type Task, type TaskGroup, type TaskGroupOptions, taskGroup } from './task-group.ts';
export { type Clock, type SleepOptions, sleep } from './time.ts';
export { type TimeoutOptions, timeout } from './timeout.ts';
