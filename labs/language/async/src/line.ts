import { onAbort } from './signal.ts';

/** Who waits, and what he has brought. He is out of the line already: serve him or dismiss him. */
export interface Waiter<Given, Brought> {
  readonly brought: Brought;
  serve(given: Given): void;
  dismiss(error: unknown): void;
}

type Place<Given, Brought> = Waiter<Given, Brought> & {
  before: Place<Given, Brought> | undefined;
  behind: Place<Given, Brought> | undefined;
};

/** A line of waiters: first come, first served; who leaves from the middle leaves at once, whatever its length. */
export class Line<Given = void, Brought = void> {
  #first: Place<Given, Brought> | undefined;
  #last: Place<Given, Brought> | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Resolves with what one is served; rejects with the signal's reason when it aborts first, and one's place is gone. */
  join(brought: Brought, signal?: AbortSignal): Promise<Given> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<Given>();
    const place: Place<Given, Brought> = {
      brought,
      serve: resolve,
      dismiss: reject,
      before: this.#last,
      behind: undefined,
    };
    if (this.#last) this.#last.behind = place;
    else this.#first = place;
    this.#last = place;
    this.#length++;
    return signal ? this.#leavable(place, promise, signal) : promise;
  }

  async #leavable(place: Place<Given, Brought>, served: Promise<Given>, signal: AbortSignal): Promise<Given> {
    using _ = onAbort(signal, (reason) => {
      if (place.before || place === this.#first) this.#leave(place);
      place.dismiss(reason);
    });
    return await served;
  }

  /** Takes the first out of the line. */
  next(): Waiter<Given, Brought> | undefined {
    const first = this.#first;
    if (first) this.#leave(first);
    return first;
  }

  #leave(place: Place<Given, Brought>): void {
    if (place.before) place.before.behind = place.behind;
    else this.#first = place.behind;
    if (place.behind) place.behind.before = place.before;
    else this.#last = place.before;
    place.before = undefined;
    place.behind = undefined;
    this.#length--;
  }
}
