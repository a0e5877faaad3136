export { Alarm, type AlarmState, type Change, type Rule } from './alarm.ts';
export { Analyser, type AnalyserOptions } from './analyser.ts';
export { Book, type BookOptions, SCHEMA } from './book.ts';
export {
  type Alert,
  type Aside,
  type Changes,
  type Counts,
  DEFAULTS,
  Desk,
  type DeskOptions,
  type DeskState,
  type Entry,
  type Position,
  type Window,
} from './desk.ts';
export { AnalyticsError, InvalidArgumentError, StoreUnavailableError, WindowWidthError } from './errors.ts';
export { Feed } from './feed.ts';
export { type AnalyticsApiOptions, analyticsApi, type Live } from './http.ts';
export { Intake, type IntakeOptions } from './intake.ts';
export { type Line, parseLine } from './line.ts';
export { latencyOf, Sketch } from './sketch.ts';
export { type Heavy, TopK } from './top-k.ts';
export type { View } from './view.ts';
export { type Seen, Watermark, type WatermarkOptions } from './watermark.ts';
