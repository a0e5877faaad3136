export { Confirms } from './confirms.ts';
export {
  BadArgumentError,
  BrokerLostError,
  ChannelClosedError,
  LogRequestError,
  NotWrittenError,
  PermanentError,
  QueueClosedError,
  QueueError,
  RefusedError,
  UnroutableMessageError,
} from './errors.ts';
export { type ConsumeOptions, GroupMember, type LogRecord, type RecordHandler, Tenure } from './group.ts';
export { Log, type LogOptions, type OutgoingRecord, type Position, type TopicSpec } from './log.ts';
export { OffsetTracker } from './offsets.ts';
export {
  type Handler,
  type OutgoingMessage,
  Rabbit,
  type RabbitOptions,
  type Received,
  type Topology,
} from './rabbit.ts';
export {
  type Address,
  type Binding,
  type ExchangeType,
  headersMatch,
  partitionOf,
  routes,
  topicMatches,
} from './routing.ts';
export { backoff } from './wait.ts';
