export { type CriticalPath, type Culprit, criticalPath, type Segment } from './critical-path.ts';
export { AlreadyStartedError, InvalidArgumentError, NotPatchedError, TracingError } from './errors.ts';
export { assertPatched, hookImports, instrument, type Modules } from './modules.ts';
export { type Kind, readOtlp, type SpanRecord } from './otlp.ts';
export { BoundedProcessor, type Counts, type QueueOptions } from './processor.ts';
export { type Carrier, extract, formatTraceparent, inject, parseTraceparent, waybill } from './propagation.ts';
export { redact, redactAddress, redactAttributes, redactStatement } from './redact.ts';
export { isChosen, sampleTraces } from './sampling.ts';
export { flushAtTheEnd, provide, type StartOptions, start, type Tracing } from './start.ts';
