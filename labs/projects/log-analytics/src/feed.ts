/** The newest value, for any number of readers of any speed: it is held once, and nobody waits for anybody. */
export class Feed<T> {
  protected latest: { readonly value: T } | undefined;
  readonly #waiting = new Set<() => void>();

  /** What was published before, and was not read by somebody yet, is never read by him. */
  publish(value: T): void {
    this.latest = { value };
    this.wake();
  }

  /** The newest value, and from then on, each time it is asked, the newest that is newer. Ends when `signal` aborts. */
  async *subscribe(signal: AbortSignal): AsyncGenerator<T, void, void> {
    let told: object | undefined;
    while (!signal.aborted) {
      const { latest } = this;
      if (latest === undefined || latest === told) await this.published(signal);
      else {
        told = latest;
        yield latest.value;
      }
    }
  }

  protected wake(): void {
    for (const go of this.#waiting) go();
    this.#waiting.clear();
  }

  /** Resolves at the next `wake`, or when `signal` aborts. */
  protected async published(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const go = () => resolve();
    this.#waiting.add(go);
    signal.addEventListener('abort', go, { once: true });
    if (signal.aborted) go();
    await promise;
    signal.removeEventListener('abort', go);
    this.#waiting.delete(go);
  }
}
