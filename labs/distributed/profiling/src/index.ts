export { type Allocation, allocations } from './allocations.ts';
export { type AttachOptions, attach } from './attach.ts';
export { Attached, type LoopMeasure, type MeasureOptions } from './attached.ts';
export { type CallCount, countCalls } from './call-counts.ts';
export { type Call, type CallTree, callTree, type Place } from './call-tree.ts';
export {
  BusyError,
  DebuggerPresentError,
  InvalidArgumentError,
  InvalidProfileError,
  NoSuchProcessError,
  NotNodeError,
  PermissionDeniedError,
  PortTakenError,
  ProfilingError,
  ProtocolError,
  SignalDisabledError,
  TargetEndedError,
  TargetSilentError,
  UnreachableError,
} from './errors.ts';
export { escapeXml, type FlamegraphOptions, flamegraph, label } from './flamegraph.ts';
export { type Hot, hottest, shareInterval } from './hottest.ts';
export { callCounts, profile } from './in-process.ts';
