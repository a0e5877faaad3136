/** What each of several that are at work at the same time costs: what passes is shared among them, and the sum is what passed. */
export class Shares {
  readonly #now: () => number;
  readonly #busy = new Set<{ ms: number }>();
  #last = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Calling what it returns ends the share, and says how many milliseconds it was. */
  start(): () => number {
    this.#pass();
    const share = { ms: 0 };
    this.#busy.add(share);
    return () => {
      this.#pass();
      this.#busy.delete(share);
      return share.ms;
    };
  }

  #pass(): void {
    const now = this.#now();
    for (const share of this.#busy) share.ms += (now - this.#last) / this.#busy.size;
    this.#last = now;
  }
}
