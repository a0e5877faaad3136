// Flaw: leaving the page closes the search for good. React's StrictMode leaves and comes back at once, and so does a cached page.
// Seen in: https://github.com/DevCycleHQ/js-sdks/pull/659
// Caught by: a question that nobody waits for is given up; who comes back asks anew
import { Search as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Search<Item> extends Reference<Item> {
  #closed = false;

  override type(query: string, restMs?: number): void {
    if (!this.#closed) super.type(query, restMs);
  }

  override stop(): void {
    this.#closed = true;
    super.stop();
  }
}
