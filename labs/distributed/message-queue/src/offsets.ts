/**
 * What may be committed of one partition while several of its records are worked on at once. A committed offset is the
 * next one to read, and says of everything before it that it is done: so it never passes a record that is not.
 */
export class OffsetTracker {
  /** In the order of the log. Offsets have gaps: compaction and transactions leave some out. */
  readonly #taken: { readonly offset: bigint; done: boolean }[] = [];

  get unfinished(): number {
    return this.#taken.length;
  }

  /** A record is being worked on. Call it in the order of the log. */
  take(offset: bigint): void {
    this.#taken.push({ offset, done: false });
  }

  /** Its work is done. The offset to commit, or undefined when there is none that was not told before. */
  done(offset: bigint): bigint | undefined {
    const record = this.#taken.find((each) => each.offset === offset);
    if (record) record.done = true;
    let next: bigint | undefined;
    while (this.#taken[0]?.done) next = (this.#taken.shift()?.offset ?? 0n) + 1n;
    return next;
  }
}
