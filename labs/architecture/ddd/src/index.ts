// Four layers, four folders: interfaces → application → domain ← infrastructure. The domain imports nothing outward.
export { type OrderRequest, OrderService, type Receipt } from './application/order-service.ts';
export { paymentPolicy, type Subscriber } from './application/payment-policy.ts';
export { Address } from './domain/address.ts';
export { Aggregate } from './domain/aggregate.ts';
export { checkout } from './domain/checkout.ts';
export { Customer, type CustomerSnapshot } from './domain/customer.ts';
export { Dish, Size, Spiciness } from './domain/dish.ts';
export * from './domain/errors.ts';
export type { CustomerEvent, DomainEvent, OrderEvent } from './domain/events.ts';
export { type CustomerId, customerId, type OrderId, orderId } from './domain/ids.ts';
export { type Currency, Money } from './domain/money.ts';
export { Order, type OrderLine, type OrderSnapshot, type OrderStatus } from './domain/order.ts';
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
export { OutboxRelay, type Round } from './infrastructure/outbox-relay.ts';
export { migrate } from './infrastructure/postgres.ts';
export { PostgresCustomers } from './infrastructure/postgres-customers.ts';
export { PostgresOrders } from './infrastructure/postgres-orders.ts';
export { PrintedMenu } from './infrastructure/printed-menu.ts';
export { httpApi } from './interfaces/http.ts';
export { kitchenTicket, type RecipeBook, type Ticket } from './interfaces/kitchen.ts';
