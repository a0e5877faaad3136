export type { Build } from './builds.ts';
export { type Command, CommandBus, type Decider } from './command-bus.ts';
export {
  CommandRejectedError,
  ConflictError,
  CqrsError,
  InvalidArgumentError,
  PoisonEventError,
  StaleReadError,
  StoreError,
} from './errors.ts';
export type { Append, Backlog, EventStore, NewEvent, Recorded } from './event-store.ts';
export { type Item, type Order, type OrderCommand, type OrderEvent, order } from './order.ts';
export { PostgresEventStore, type StoreOptions } from './postgres-event-store.ts';
export type { Projection, Tx } from './projection.ts';
export { type Lag, type Log, Projector, type ProjectorOptions } from './projector.ts';
export { Queries, type QueryOptions } from './queries.ts';
export { board, sales } from './views.ts';
