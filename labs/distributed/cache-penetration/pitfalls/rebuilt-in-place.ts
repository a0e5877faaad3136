// Flaw: a rebuild empties the filter in use and fills it again: until it's full, rows that exist are refused.
// Seen in: https://www.cnblogs.com/itqinls/p/18916783
// Caught by: nobody is refused while a filter is rebuilt
import { SharedBloom as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class SharedBloom extends Reference {
  protected override async begin() {
    const build = await super.begin();
    await build.swap();
    return {
      add: (prints: Parameters<Reference['insert']>[0]) => this.insert(prints),
      swap: async () => {},
      abandon: async () => {},
    };
  }
}
