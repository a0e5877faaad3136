export { type BulkOptions, type BulkReport, BulkSink, type DeadLetter, type Verdict } from './bulk.ts';
export {
  IndexRefusedError,
  InvalidOptionError,
  LogFileError,
  LogPipelineError,
  OffsetFileError,
  QueryError,
  StoreError,
} from './errors.ts';
export type { LogDocument, LogEvent } from './event.ts';
export { type Fields, type Level, Logger, type LoggerOptions } from './logger.ts';
export { type Clause, type Dsl, type FieldType, parseQuery, toDsl } from './query.ts';
export { type Gap, type Place, Shipper, type ShipperOptions, type Sink } from './shipper.ts';
export { type Bucket, LogStore, type SearchOptions, type SearchResult, type StoreOptions } from './store.ts';
export { currentTrace, type Trace, traceOf, withTrace } from './trace.ts';
