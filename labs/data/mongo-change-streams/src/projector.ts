import type { Document } from 'mongodb';
import { FencedError, HistoryTooShortError } from './errors.ts';
import { historyIsGone, type Position, positionOfNow } from './position.ts';
import { type Bookmark, isDocumentChange, Runner, type Tx } from './runner.ts';
import { changesTouching } from './touching.ts';

/** Follows a collection and keeps a projection of it: each change once, through kills, gaps, drops and take-overs. */
export class Projector<T extends Document> extends Runner<T> {
  protected async live(): Promise<void> {
    const { db } = this.options.source;
    await this.takeOver();
    let anew = this.mark.position === null ? await positionOfNow(db) : undefined;
    while (!this.stopped) {
      if (anew !== undefined) await this.rebuild(anew);
      if (this.stopped) break; // within the copy: there may be nothing to follow from
      const { position } = this.mark;
      try {
        anew = await this.follow();
      } catch (error) {
        if (!historyIsGone(error)) throw error;
        if (anew !== undefined && this.mark.position === position) throw new HistoryTooShortError(error);
        // The same question would have the same answer: what is told no more has to be copied.
        anew = await positionOfNow(db);
      }
    }
  }

  /** The effect and how far it is, in one transaction, and only if nobody has taken over. */
  protected async commit(
    set: Partial<Pick<Bookmark, 'position' | 'generation'>>,
    effect: (tx: Tx) => Promise<unknown> = async () => {},
    generation = this.mark.generation,
  ): Promise<void> {
    const { marks, name } = this.options;
    const { epoch } = this.mark;
    await this.transaction(async (session) => {
      await effect({ session, generation });
      // A write that changes nothing conflicts with nobody, not even with a take-over. So it always changes a number.
      const write = { $set: set, $inc: { saves: 1 } };
      const { matchedCount } = await marks.updateOne({ _id: name, epoch }, write, { session });
      if (matchedCount === 0) throw new FencedError(name, epoch);
    });
    this.mark = { ...this.mark, ...set };
  }

  /** A copy beside the one that is read. The position is older than its first document: the stream tells the rest. */
  protected async rebuild(position: Position): Promise<void> {
    const generation = await this.beginGeneration();
    for await (const documents of this.documents()) {
      await this.commit({}, (tx) => this.copy(documents, tx), generation);
    }
    if (this.stopped) return;
    await this.commit({ position, generation });
    await this.sweep(generation);
  }

  /** From the bookmark on. @returns where to begin anew after an `invalidate`; undefined when it was closed */
  protected async follow(): Promise<Position | undefined> {
    await using stream = this.watch();
    while (!this.stopped) {
      const change = await stream.tryNext();
      if (this.stopped) break;
      if (change === null) {
        if (this.quiet && stream.resumeToken) await this.commit({ position: { after: stream.resumeToken } });
      } else if (change.operationType === 'invalidate') {
        return { after: change._id };
      } else if (isDocumentChange(change)) {
        await this.commit({ position: { after: change._id } }, (tx) => this.apply(change, tx));
      }
    }
    return undefined;
  }

  protected filter(fields: readonly string[]): Document[] {
    return changesTouching(fields);
  }
}
