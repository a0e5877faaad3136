// Flaw: what an aggregate has recorded is handed out as it is, and not frozen: whoever reads it before the save decides what is told.
// Seen in: https://github.com/hallgren/eventsourcing/pull/63
// Caught by: what has left an aggregate cannot be changed, and neither can its id
import { type OrderEvent, Order as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Order extends Reference {
  readonly #thawed = new WeakMap<OrderEvent, OrderEvent>();

  override get events(): readonly OrderEvent[] {
    return super.events.map((event) => {
      const known = this.#thawed.get(event) ?? structuredClone(event);
      this.#thawed.set(event, known);
      return known;
    });
  }
}
