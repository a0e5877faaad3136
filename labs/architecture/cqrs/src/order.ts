import type { Decider } from './command-bus.ts';
import { CommandRejectedError, InvalidArgumentError } from './errors.ts';
import { checkedText, checkedWhole } from './text.ts';

export interface Item {
  readonly name: string;
  /** A whole number from 1 to 2^31 - 1. */
  readonly quantity: number;
}

/** What somebody wants. `id` is the wish's own: sent twice, it is fulfilled once. */
export type OrderCommand = { readonly id: string; readonly orderId: string } & (
  | { readonly type: 'place'; readonly customer: string; readonly items: readonly Item[] }
  | { readonly type: 'change'; readonly items: readonly Item[] }
  | { readonly type: 'cook' | 'finish' | 'collect' }
);

/** What has happened. An event carries all that its readers need: none of them may ask the command side. */
export type OrderEvent =
  | {
      readonly type: 'OrderPlaced';
      readonly data: { readonly orderId: string; readonly customer: string; readonly items: readonly Item[] };
    }
  | { readonly type: 'ItemsChanged'; readonly data: { readonly orderId: string; readonly items: readonly Item[] } }
  | { readonly type: 'CookingStarted' | 'OrderReady'; readonly data: { readonly orderId: string } }
  | { readonly type: 'OrderCollected'; readonly data: { readonly orderId: string; readonly items: readonly Item[] } };

/** What the next decision depends on, and nothing else. */
export interface Order {
  readonly status: 'none' | 'placed' | 'cooking' | 'ready' | 'collected';
  readonly items: readonly Item[];
}

/** The rules of an order: none → placed → cooking → ready → collected, changed only before it is cooked. */
export const order: Decider<OrderCommand, Order, OrderEvent> = {
  streamOf: ({ orderId }) => `order-${checkedText('order id', orderId)}`,
  initial: () => ({ status: 'none', items: [] }),

  evolve(state, event) {
    switch (event.type) {
      case 'OrderPlaced':
        return { status: 'placed', items: event.data.items };
      case 'ItemsChanged':
        return { ...state, items: event.data.items };
      case 'CookingStarted':
        return { ...state, status: 'cooking' };
      case 'OrderReady':
        return { ...state, status: 'ready' };
      case 'OrderCollected':
        return { ...state, status: 'collected' };
      default:
        return unknown(event);
    }
  },

  decide(command, { status, items }) {
    const { orderId } = command;
    const only = (allowed: Order['status']) => {
      if (status === allowed) return;
      throw new CommandRejectedError(`Order ${orderId} is ${status}: to ${command.type} it, it must be ${allowed}.`);
    };
    switch (command.type) {
      case 'place':
        only('none');
        return [
          {
            type: 'OrderPlaced',
            data: { orderId, customer: checkedText('customer', command.customer), items: checked(command.items) },
          },
        ];
      case 'change':
        only('placed');
        return [{ type: 'ItemsChanged', data: { orderId, items: checked(command.items) } }];
      case 'cook':
        only('placed');
        return [{ type: 'CookingStarted', data: { orderId } }];
      case 'finish':
        only('cooking');
        return [{ type: 'OrderReady', data: { orderId } }];
      case 'collect':
        only('ready');
        return [{ type: 'OrderCollected', data: { orderId, items } }];
      default:
        return unknown(command);
    }
  },
};

/** The compiler sees to it that nothing is forgotten; what comes from outside, or from a later version, is refused. */
function unknown(what: never): never {
  const { type } = Object(what);
  throw new InvalidArgumentError(`An order knows no ${JSON.stringify(type)}.`);
}

/** What is accepted here must fit into every read model: an event that one can't hold would pause it. */
function checked(items: readonly Item[]): readonly Item[] {
  if (!Array.isArray(items) || items.length === 0) throw new InvalidArgumentError('An order needs an item.');
  for (const item of items) {
    const { name, quantity } = Object(item);
    checkedWhole(`the quantity of ${checkedText('name of an item', name)}`, quantity, 1);
  }
  return items;
}
