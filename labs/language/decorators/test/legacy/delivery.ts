// The legacy dialect at work; test/standard/delivery.ts is its twin. A program of its own, since it needs another
// loader: node --import @oxc-node/core/register test/legacy/delivery.ts
import { legacy } from '#lab';
import { deliver } from '../delivered.ts';

const { buildRouter, cached, param, requires, route } = legacy;
const KEPT = { ttlMs: 60_000, max: 100 };

class AddressBook {
  // A hit never reaches the guard.
  @cached(KEPT)
  @requires('rider')
  cacheAbove(order: number) {
    return `order ${order}: Via Roma 7`;
  }

  // The guard sees every call.
  @requires('rider')
  @cached(KEPT)
  guardAbove(order: number) {
    return `order ${order}: Via Roma 7`;
  }
}

class Orders {
  readonly seen: unknown[] = [];

  @route('GET', '/orders') list() {
    return [7];
  }

  @route('GET', '/orders/:id') one(@param('id') id: number) {
    this.seen.push(id);
    return { id, dish: 'rice' };
  }

  @route('GET', '/orders/:id/address')
  @requires('rider')
  address() {
    return 'Via Roma 7';
  }

  @route('DELETE', '/orders/:id')
  @requires('rider')
  cancel() {}
}

class Careless extends Orders {
  override address() {
    return 'for all to see';
  }
}

const [book, orders, careless] = [new AddressBook(), new Orders(), new Careless()];
const delivered = await deliver({
  book: { cacheAbove: (order) => book.cacheAbove(order), guardAbove: (order) => book.guardAbove(order) },
  router: buildRouter(orders),
  override: () => careless.address(),
  registerOverride: () => buildRouter(careless),
  seen: orders.seen,
});
console.log(JSON.stringify(delivered));
