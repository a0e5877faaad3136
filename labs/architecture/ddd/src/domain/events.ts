import type { CustomerId, OrderId } from './ids.ts';

// What has happened, in plain data: the published language, which other contexts and other processes read.
type Amount = { readonly minor: number; readonly currency: string };
type Portion = { readonly name: string; readonly size: string; readonly spiciness: string; readonly quantity: number };

export type OrderEvent =
  | {
      readonly type: 'order-placed';
      readonly orderId: OrderId;
      readonly customerId: CustomerId;
      readonly total: Amount;
    }
  | { readonly type: 'order-paid'; readonly orderId: OrderId; readonly dishes: readonly Portion[] }
  | { readonly type: 'order-declined'; readonly orderId: OrderId };

export type CustomerEvent =
  | { readonly type: 'customer-charged'; readonly orderId: OrderId; readonly customerId: CustomerId }
  | { readonly type: 'charge-refused'; readonly orderId: OrderId; readonly customerId: CustomerId };

export type DomainEvent = OrderEvent | CustomerEvent;
