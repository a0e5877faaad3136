// Flaw: a counter for each key, though it is strangers who choose the keys.
// Seen in: metrics labelled by raw path, until a scanner comes by
// Caught by: of many thousand paths the heavy ones are found, in a hundred places
export * from '../src/index.ts';

import { TopK as Sound } from '../src/index.ts';

export class TopK extends Sound {
  override add(key: string): void {
    const known = this.counters.get(key);
    if (known !== undefined) known.count += 1;
    else this.counters.set(key, { count: 1, error: 0 });
  }
}
