// Flaw: a listener that was disposed of stays behind on its signal, and so does all that it refers to.
// Seen in: https://github.com/sindresorhus/p-retry/issues/71
// Caught by: a listener hears its own model, a subclass only if it propagates, and nothing once it has gone

import type { Told } from '../src/events.ts';
import { type Entity, type EventMap, type EventName, type ListenOptions, Events as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Events extends Reference {
  override on<E extends Entity, N extends EventName>(
    model: { readonly prototype: E },
    name: N,
    tell: (event: EventMap<E>[N]) => Told<N>,
    { signal, ...options }: ListenOptions = {},
  ): Disposable {
    const listener = super.on(model, name, tell, options);
    if (signal?.aborted) listener[Symbol.dispose]();
    signal?.addEventListener('abort', () => listener[Symbol.dispose]());
    return listener;
  }
}
