import { Line } from './line.ts';
import { type WaitOptions, wholeNumber } from './options.ts';

/** Nobody passes until `parties` have come; then all do, and the next round begins. Who leaves is no longer counted. */
export class Barrier {
  readonly #line = new Line<number>();
  readonly #parties: number;

  /** @throws InvalidArgumentError on what is no whole number of parties, 1 or more. */
  constructor(parties: number) {
    this.#parties = wholeNumber('The number of parties', parties);
  }

  /** How many stand before it. */
  get waiting(): number {
    return this.#line.length;
  }

  /** A number from 0 to parties − 1, another for each: one of them is 0 and can tidy up. @throws the signal's reason. */
  async wait({ signal }: WaitOptions = {}): Promise<number> {
    signal?.throwIfAborted();
    if (this.#line.length + 1 < this.#parties) return this.#line.join(undefined, signal);
    for (let place = 1; place < this.#parties; place++) this.#line.next()?.serve(place);
    return 0;
  }
}
