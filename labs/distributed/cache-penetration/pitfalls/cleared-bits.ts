// Flaw: an id is "deleted" by clearing its bits, which are the bits of other ids too.
// Seen in: https://github.com/igrigorik/bloomfilter-rb/issues/37
// Caught by: an id that is gone is refused after a rebuild, and no other with it
import { LocalBloom as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class LocalBloom extends Reference {
  readonly #bits = new Set<number>();
  #ids = new Set<string>();

  #positions(id: string): number[] {
    const { a, b } = this.fingerprint(id);
    const { bits, hashes } = this.shape;
    return Array.from({ length: hashes }, (_, i) => ((a % bits) + i * (b % bits)) % bits);
  }

  override async mayContain(id: string): Promise<boolean> {
    return this.#positions(id).every((at) => this.#bits.has(at));
  }

  override async rebuild(ids: Iterable<string>): Promise<number> {
    const now = new Set(ids);
    for (const id of now) for (const at of this.#positions(id)) this.#bits.add(at);
    for (const id of this.#ids.difference(now)) for (const at of this.#positions(id)) this.#bits.delete(at);
    this.#ids = now;
    return now.size;
  }
}
