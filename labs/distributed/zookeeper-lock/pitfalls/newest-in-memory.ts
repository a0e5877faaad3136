// Flaw: the store keeps the newest fence in its memory: another process, or this one after a restart, has not seen it.
// Seen in: https://github.com/oxia-db/oxia/pull/87
// Caught by: a store refuses the write of a holder who comes back too late
import { FencedStore as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class FencedStore extends Reference {
  #newest = 0n;

  protected override admits(_seen: bigint, fence: bigint): boolean {
    if (fence < this.#newest) return false;
    this.#newest = fence;
    return true;
  }
}
