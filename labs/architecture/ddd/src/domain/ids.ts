import { InvalidValueError } from './errors.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The identity of an order. A branded string, so that it can't stand where a customer's belongs. */
export type OrderId = string & { readonly __of: 'order' };
/** The identity of a customer. */
export type CustomerId = string & { readonly __of: 'customer' };

const isOrderId = (text: string): text is OrderId => uuid.test(text);
const isCustomerId = (text: string): text is CustomerId => uuid.test(text);

/** @throws InvalidValueError unless `text` is a UUID in lower case. Default: a new one. */
export function orderId(text: string = crypto.randomUUID()): OrderId {
  if (!isOrderId(text)) throw new InvalidValueError('Order id', text, 'a UUID in lower case');
  return text;
}

/** @throws InvalidValueError unless `text` is a UUID in lower case. Default: a new one. */
export function customerId(text: string = crypto.randomUUID()): CustomerId {
  if (!isCustomerId(text)) throw new InvalidValueError('Customer id', text, 'a UUID in lower case');
  return text;
}
