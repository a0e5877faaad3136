interface Waiting {
  readonly enter: () => void;
  readonly isLater: () => boolean;
}

/** At most `width` at a time; the others wait in the order in which they came. */
export class Lanes {
  readonly #waiting: Waiting[] = [];
  #free: number;

  constructor(width: number) {
    this.#free = width;
  }

  /**
   * Dispose what it resolves to, to leave.
   *
   * @param isLater whether it would only stand about for now, so that others who wait may go first
   */
  async enter(isLater: () => boolean = () => false): Promise<Disposable> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((enter) => this.#waiting.push({ enter, isLater }));
    return {
      [Symbol.dispose]: () => {
        const at = this.#waiting.findIndex((each) => !each.isLater());
        const [next] = this.#waiting.splice(Math.max(at, 0), 1);
        if (next) next.enter();
        else this.#free += 1;
      },
    };
  }
}
