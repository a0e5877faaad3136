export { type AtomicOptions, Database, type DatabaseOptions } from './database.ts';
export {
  CommitUnknownError,
  InvalidArgumentError,
  NextCalledTwiceError,
  NextNotAwaitedError,
  NoResponseError,
  NotDurableError,
  RolledBackError,
  StackError,
  TransactionOverError,
} from './errors.ts';
export { boundary, compose, type Handler, type Middleware } from './onion.ts';
export { type ConnectOptions, type Heard, type Receiver, Signal } from './signal.ts';
