import type { OrderBook } from './book.ts';
import type { Gate, Load } from './gate.ts';

export interface Reconciled {
  /** Why the gate was loaded anew by this call; undefined where it was as the book has it, or another process was faster. */
  readonly rebuilt: 'lost' | 'generation' | 'orders' | undefined;
  /** Reservations that had no order and none on its way, and have one on its way now. */
  readonly requeued: number;
}

/**
 * Compares gate and book, and mends the gate: after a start, after Redis has lost all or its last seconds, and from time to
 * time. Any number of processes may do it at once, and buyers go on buying.
 *
 * @throws UnknownItemError, StoreUnavailableError
 */
export async function reconcile(gate: Gate, book: OrderBook, sku: string): Promise<Reconciled> {
  // The book before the gate: whoever has an order reserved it before.
  const before = await book.state(sku);
  const state = await gate.state(sku);
  const rebuild = async (why: Reconciled['rebuilt']): Promise<Reconciled> => {
    let loaded = false;
    const load = async (count: Load) => {
      loaded = await gate.load(sku, count);
      return loaded;
    };
    // Once, whoever else has seen it: a second count would take from those who have bought behind the first.
    await book.count(sku, load, { seen: before.generation, above: state?.generation ?? 0 });
    return { rebuilt: loaded ? why : undefined, requeued: 0 };
  };
  if (state === undefined) return rebuild('lost');
  const after = await book.state(sku);
  if (state.generation !== after.generation) return rebuild('generation');
  const strange = [...before.buyers].some(
    ([user, id]) => state.buyers.get(user) !== id && after.buyers.get(user) === id,
  );
  if (strange) return rebuild('orders');

  // The gate before the book: what is neither waiting then nor written now is nowhere.
  let requeued = 0;
  for (const [user, id] of state.buyers) {
    if (state.waiting.has(id) || after.buyers.get(user) === id) continue;
    const order = await book.order(id);
    if (order?.state === 'cancelled') await gate.giveBack(sku, user, id);
    if (order === undefined && (await gate.requeue(sku, user, id))) requeued += 1;
  }
  return { rebuilt: undefined, requeued };
}

/** Brings the units of cancelled orders back on sale: each once, however often it is begun. @throws StoreUnavailableError */
export async function giveBack(gate: Gate, book: OrderBook): Promise<number> {
  let units = 0;
  for (const { orderId, sku, user } of await book.owed()) {
    if (await gate.giveBack(sku, user, orderId)) units += 1;
    // Only now: whoever dies in between does it again, and the gate finds no reservation.
    await book.settled(orderId);
  }
  return units;
}
