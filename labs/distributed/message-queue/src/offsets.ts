/**
 * What may be committed of one partition while several of its records are worked on at once. A committed offset is the
 * next one to read, and says of everything before it that it is done: so it never passes a record that is not.
 */
export class OffsetTracker {
  /** Whether each is done, in the order of the log. Offsets have gaps: compaction and transactions leave some out. */
  readonly #taken = new Map<bigint, boolean>();

  get unfinished(): number {
    return this.#taken.size;
  }

  /** A record is being worked on. Call it in the order of the log. */
  take(offset: bigint): void {
    this.#taken.set(offset, false);
  }

  /** Its work is done. The offset to commit, or undefined when there is none that was not told before. */
  done(offset: bigint): bigint | undefined {
    if (this.#taken.has(offset)) this.#taken.set(offset, true);
    let next: bigint | undefined;
    for (const [each, done] of this.#taken) {
      if (!done) break;
      this.#taken.delete(each);
      next = each + 1n;
    }
    return next;
  }
}
