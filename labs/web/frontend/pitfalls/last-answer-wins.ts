// Flaw: the question before is aborted, and whatever is answered is shown all the same: an answer that is here already can't be aborted.
// Seen in: https://github.com/TarekRaafat/autoComplete.js/issues/297
// Caught by: the answer to the last question is shown, whichever comes last
import { Search as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Search<Item> extends Reference<Item> {
  protected override async ask(cursor: string | undefined, signal: AbortSignal): Promise<void> {
    const { query, items } = this.state.get();
    try {
      const found = await this.options.find(query, cursor, signal);
      const all = cursor === undefined ? found.items : [...items, ...found.items];
      this.patch({ status: 'found', of: query, items: all, next: found.next });
    } catch (failure) {
      this.patch({ status: 'failed', failure });
    }
  }
}
