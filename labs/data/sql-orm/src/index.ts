export {
  InvalidArgumentError,
  ListenerError,
  OutOfRangeError,
  SessionStateError,
  SqlOrmError,
  StaleError,
  StatementError,
} from './errors.ts';
export { type Change, type EventMap, type EventName, Events, events, type ListenOptions } from './events.ts';
export { BoundHybrid, type Hybrid, hybrid, hybridMethod, type Terms } from './hybrid.ts';
export { Entity, type Meta, type Model, model } from './model.ts';
export * from './operators.ts';
export { openPostgres } from './postgres.ts';
export { Session } from './session.ts';
