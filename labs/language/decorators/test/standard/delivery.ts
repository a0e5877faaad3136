// The standard dialect at work; test/legacy/delivery.ts is its twin. The demo runs both.
import { type RouteRequest, standard } from '#lab';
import { type Delivered, deliver } from '../delivered.ts';

const { buildRouter, cached, requires, route } = standard;
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

  @route('GET', '/orders/:id') one({ params }: RouteRequest<'/orders/:id'>) {
    this.seen.push(params.id);
    return { id: params.id, dish: 'rice' };
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

export function standardDelivery(): Promise<Delivered> {
  const [book, orders, careless] = [new AddressBook(), new Orders(), new Careless()];
  return deliver({
    book: { cacheAbove: (order) => book.cacheAbove(order), guardAbove: (order) => book.guardAbove(order) },
    router: buildRouter(orders),
    override: () => careless.address(),
    registerOverride: () => buildRouter(careless),
    seen: orders.seen,
  });
}
