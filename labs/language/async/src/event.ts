import { Line } from './line.ts';
import type { WaitOptions } from './options.ts';

/** A bell: who waits for it, before or after it has rung, goes on. Not the DOM's Event. */
export class Event {
  readonly #line = new Line();
  #isSet = false;

  get isSet(): boolean {
    return this.#isSet;
  }

  /** Wakes everybody who waits, and lets through who comes. */
  set(): void {
    this.#isSet = true;
    for (let next = this.#line.next(); next; next = this.#line.next()) next.serve();
  }

  /** From now on, one waits again. */
  clear(): void {
    this.#isSet = false;
  }

  /** @throws the signal's reason. */
  async wait({ signal }: WaitOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    if (!this.#isSet) await this.#line.join(undefined, signal);
  }
}
