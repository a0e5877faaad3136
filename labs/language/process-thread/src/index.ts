export { calibrate } from './calibrate.ts';
export { type Cpu, detectCpu } from './cpu.ts';
export {
  BrokenHybridError,
  ClosedError,
  DrainTimeoutError,
  type Exit,
  HybridError,
  InvalidArgumentError,
  type RemoteError,
  TaskError,
  UncloneableError,
  WorkerLostError,
} from './errors.ts';
export { Hybrid, hybrid } from './hybrid.ts';
export type { Entry, HybridOptions, HybridStats, Input, Output } from './hybrid-base.ts';
export { type Kind, type Plan, recommend, ruleOfThumb, type Sizing, type Workload } from './recommend.ts';
