export {
  type BookOptions,
  type BookState,
  type Entry,
  OrderBook,
  type OrderState,
  type Owed,
  type Placed,
} from './book.ts';
export { InvalidArgumentError, SeckillError, StoreUnavailableError, UnknownItemError } from './errors.ts';
export { type BuyOutcome, Gate, type GateOptions, type GateState, type Load, orderIdOf } from './gate.ts';
export { seckillApi } from './http.ts';
export { giveBack, type Reconciled, reconcile } from './reconcile.ts';
export { SCHEMA } from './schema.ts';
export { Shop, type ShopOptions } from './shop.ts';
export { OrderWorker, type WorkerOptions } from './worker.ts';
