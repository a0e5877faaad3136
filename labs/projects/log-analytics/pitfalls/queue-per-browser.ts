// Flaw: a queue for each browser, which grows for as long as it does not read.
// Seen in: https://github.com/websockets/ws/issues/492
// Caught by: a browser that does not read gets the newest view, and nobody waits for it
export * from '../src/index.ts';

import { Feed as Sound } from '../src/index.ts';

export class Feed<T> extends Sound<T> {
  readonly #queues = new Set<T[]>();

  override publish(value: T): void {
    this.latest = { value };
    for (const queue of this.#queues) queue.push(value);
    this.wake();
  }

  override async *subscribe(signal: AbortSignal): AsyncGenerator<T, void, void> {
    const queue: T[] = this.latest ? [this.latest.value] : [];
    this.#queues.add(queue);
    try {
      while (!signal.aborted) {
        const [value] = queue.splice(0, 1);
        if (value === undefined) await this.published(signal);
        else yield value;
      }
    } finally {
      this.#queues.delete(queue);
    }
  }
}
