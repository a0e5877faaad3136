// Flaw: the list is walked while it changes: one who goes makes the next be passed over, one who comes is told at once.
// Seen in: https://github.com/blampe/IbPy/issues/19
// Caught by: listeners may come and go while others are told
import { type Entity, type EventMap, type EventName, Events as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Events extends Reference {
  readonly #list: ((event: object) => unknown)[] = [];

  override on<E extends Entity, N extends EventName>(
    _model: { readonly prototype: E },
    _name: N,
    tell: (event: EventMap<E>[N]) => unknown,
  ): Disposable {
    const listener = (event: object) => tell(event as EventMap<E>[N]);
    this.#list.push(listener);
    return { [Symbol.dispose]: () => void this.#list.splice(this.#list.indexOf(listener), 1) };
  }

  override *telling(): Generator<(event: object) => unknown> {
    for (const listener of this.#list) yield listener;
  }
}
