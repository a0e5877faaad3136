export type { Bus, Cemetery, Delivery, SubscribeOptions, Subscription } from './bus.ts';
export { type DeadLetter, DeadLetters } from './dead-letters.ts';
export { type DeliveryEvents, delivery, Platform, type PlatformParts } from './delivery.ts';
export { Dispatcher } from './dispatcher.ts';
export {
  BusClosedError,
  ConnectionLostError,
  EventError,
  HandlerTimeoutError,
  InvalidArgumentError,
  NoDeadLetterError,
  RolledBackError,
  UnknownEventError,
  UnreadableEventError,
  UnroutableError,
} from './errors.ts';
export { Catalogue, type Definition, type Envelope, type EventOf, type Handlers, type Reader } from './event.ts';
export { Inbox, transaction } from './inbox.ts';
export { MemoryBus } from './memory-bus.ts';
export { Outbox, type Waiting } from './outbox.ts';
export { type Parsed, parseEvent } from './parse.ts';
export { RabbitBus, type RabbitOptions } from './rabbit-bus.ts';
export { Relay, type RelayOptions } from './relay.ts';
export { StreamsBus, type StreamsOptions } from './streams-bus.ts';
