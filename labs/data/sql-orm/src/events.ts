import type { Entity } from './model.ts';
import type { Value } from './operators.ts';
import type { Session } from './session.ts';

export interface Change {
  readonly column: string;
  readonly from: Value;
  readonly to: Value;
}
/** What a listener may do with the session that tells it. */
interface InSession {
  readonly session: Pick<Session, 'add' | 'delete' | 'dirty'>;
}
interface OfRow<E> extends InSession {
  readonly entity: E;
  /** Of an update: columns whose value is another than the row's. */
  readonly changes: readonly Change[];
}
interface OfRows<E> extends InSession {
  readonly entities: readonly E[];
}
/** What listeners are told. */
export interface EventMap<E> {
  /** A column is assigned. What is returned (if not undefined) takes the value's place; what is thrown refuses it; it can't be async. */
  set: { readonly entity: E; readonly column: string; readonly value: Value; readonly old: Value | undefined };
  /** An object was made from a row. */
  load: Omit<OfRow<E>, 'changes'>;
  /** There is something to write: objects can be changed, added, deleted. */
  beforeFlush: OfRows<E>;
  /** Before the first statement of the flush: the row can be changed, and what is thrown stops all of it. */
  beforeInsert: OfRow<E>;
  beforeUpdate: OfRow<E>;
  beforeDelete: OfRow<E>;
  /** After the last statement, within the transaction: the row is as the database has it, and can't be changed. */
  afterInsert: OfRow<E>;
  afterUpdate: OfRow<E>;
  afterDelete: OfRow<E>;
  /** One statement has changed `rows` rows of which no row event is heard. Within the transaction. */
  bulkUpdate: InSession & { readonly rows: number; readonly set: Readonly<Record<string, Value>> };
  /** It is true for everybody: once, after the outermost commit. */
  afterCommit: { readonly inserted: readonly E[]; readonly updated: readonly E[]; readonly deleted: readonly E[] };
  /** What was written is not. */
  afterRollback: { readonly entities: readonly E[] };
}
export type EventName = keyof EventMap<unknown>;
// biome-ignore lint/suspicious/noConfusingVoidType: a listener need not return anything, and one that is async must not compile
export type Told<N> = N extends 'set' ? Value | void : Promise<void> | void;
export interface ListenOptions {
  /** Told once, then gone. */
  readonly once?: boolean;
  /** Told of subclasses of the model too. Default: only of the model itself, as in SQLAlchemy. */
  readonly propagate?: boolean;
  readonly signal?: AbortSignal;
}
interface Listener {
  readonly tell: (event: never) => unknown;
  readonly propagate: boolean;
  readonly once: boolean;
  readonly at: number;
  readonly stop: () => void;
}

export class Events {
  readonly #listeners = new WeakMap<object, Map<EventName, Set<Listener>>>();
  /** How many there are of a name: most rows of most tables are nobody's business. */
  readonly #living = new Map<EventName, number>();
  #count = 0;

  /** Listeners are told in the order in which they came. */
  on<E extends Entity, N extends EventName>(
    model: { readonly prototype: E },
    name: N,
    tell: (event: EventMap<E>[N]) => Told<N>,
    { once = false, propagate = false, signal }: ListenOptions = {},
  ): Disposable {
    const names = this.#listeners.get(model) ?? new Map<EventName, Set<Listener>>();
    const set = names.get(name) ?? new Set();
    this.#listeners.set(model, names.set(name, set));
    const stop = () => {
      if (set.delete(listener)) this.#living.set(name, (this.#living.get(name) ?? 1) - 1);
      signal?.removeEventListener('abort', stop);
    };
    const listener: Listener = { tell, propagate, once, at: this.#count++, stop };
    set.add(listener);
    this.#living.set(name, (this.#living.get(name) ?? 0) + 1);
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    return { [Symbol.dispose]: stop };
  }

  /**
   * Who is to be told: the model's own, and those of the classes above that propagate. A list of the moment, so that who
   * comes or goes meanwhile disturbs nobody; who has gone before its turn isn't told.
   */
  telling(model: object, name: EventName): Iterable<(event: object) => unknown> {
    return this.#living.get(name) ? this.#inTurn(model, name) : [];
  }

  *#inTurn(model: object, name: EventName): Generator<(event: object) => unknown> {
    const found: [Listener, Set<Listener>][] = [];
    for (let at: object | null = model; at; at = Object.getPrototypeOf(at)) {
      const set = this.#listeners.get(at)?.get(name) ?? new Set();
      for (const listener of set) if (at === model || listener.propagate) found.push([listener, set]);
    }
    for (const [listener, set] of found.sort(([a], [b]) => a.at - b.at)) {
      if (!set.has(listener)) continue;
      if (listener.once) listener.stop();
      yield (event) => listener.tell(Object.freeze({ ...event }) as never);
    }
  }
}

export const events = new Events();
