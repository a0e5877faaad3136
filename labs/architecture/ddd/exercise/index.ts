// Six things are yours, each in the folder of its layer; what else the restaurant needs is given. Begin with the values.
// A file may import from its own layer and from layers further in, never outward: a law reads your imports.
export {
  Address,
  Aggregate,
  type Currency,
  CurrencyMismatchError,
  type CustomerEvent,
  type CustomerId,
  type CustomerSnapshot,
  customerId,
  Dish,
  DomainError,
  type DomainEvent,
  httpApi,
  InvalidValueError,
  kitchenTicket,
  migrate,
  type OrderEvent,
  type OrderId,
  type OrderLine,
  type OrderRequest,
  type OrderSnapshot,
  OrderStateError,
  type OrderStatus,
  OutboxRelay,
  orderId,
  PaymentError,
  type Receipt,
  type RecipeBook,
  type Round,
  Size,
  Spiciness,
  type Subscriber,
  type Ticket,
  UnknownDishError,
  UnknownLineError,
} from '../src/index.ts';
export { OrderService } from './application/order-service.ts';
export { paymentPolicy } from './application/payment-policy.ts';
export { checkout } from './domain/checkout.ts';
export { Customer } from './domain/customer.ts';
export { Money } from './domain/money.ts';
export { Order } from './domain/order.ts';
export {
  AlreadyChargedError,
  ConcurrencyError,
  CorruptRecordError,
  type CustomerRepository,
  type Menu,
  NotFoundError,
  type OrderRepository,
  RepositoryError,
} from './domain/ports.ts';
export { PostgresCustomers } from './infrastructure/postgres-customers.ts';
export { PostgresOrders } from './infrastructure/postgres-orders.ts';
export { PrintedMenu } from './infrastructure/printed-menu.ts';
