import type { Document } from 'mongodb';
import type { AuditEntry, Bookmark, DocumentChange, Position, Tx } from '../src/index.ts';
import { ImageMissingError, isDocumentChange, positionOfNow, Runner, readImage } from '../src/index.ts';

// What is not the idea is given. Of `Runner`: `takeOver()` reads the bookmark into `this.mark`, under a new epoch;
// `this.transaction(work)` does all of its work or nothing; `this.documents()` reads the source in lists; `this.copy` and
// `this.apply` hand them to the projection; `this.watch()` is the stream from `this.mark.position` on; `this.quiet` says
// that nothing was saved for a while; `this.beginGeneration()` gives a number that no copy had. A `Position` is
// `{ at: a time }` or `{ after: a token }`; the errors are `new FencedError(name, epoch)` and
// `new HistoryTooShortError(error)`. `h` in `pnpm lab learn mongo-change-streams` gives a hint. src/projector.ts,
// src/audit.ts and src/touching.ts hold a solution.
export {
  type AuditEntry,
  Board,
  type BoardLine,
  type BoardRow,
  type Bookmark,
  ChangeStreamError,
  type DocumentChange,
  FencedError,
  type FieldChange,
  fieldNames,
  HistoryTooShortError,
  historyIsGone,
  ImageMissingError,
  InvalidArgumentError,
  isDocumentChange,
  type Position,
  type Projection,
  ProjectionError,
  type ProjectorOptions,
  positionOfNow,
  Runner,
  readImage,
  ServerUnreachableError,
  StreamRefusedError,
  startingAt,
  type Tx,
} from '../src/index.ts';

/** Follows a collection and keeps a projection of it: each change once, through kills, gaps, drops and take-overs. */
export class Projector<T extends Document> extends Runner<T> {
  /**
   * From the take-over to the end: copies where there is no position, and follows. `historyIsGone(error)` tells the error
   * of `follow` that no second try mends; gone again right after a copy: HistoryTooShortError. Its flaw: it follows once.
   */
  protected async live(): Promise<void> {
    await this.takeOver();
    if (this.mark.position === null) await this.rebuild(await positionOfNow(this.options.source.db));
    await this.follow();
  }

  /**
   * Writes how far it is (`set`, into the bookmark) and the effect, on rows of `generation`. Whoever was replaced is told
   * so: FencedError. Its flaws: it does the one and then the other, and whoever comes may write.
   */
  protected async commit(
    set: Partial<Pick<Bookmark, 'position' | 'generation'>>,
    effect: (tx: Tx) => Promise<unknown> = async () => {},
    generation = this.mark.generation,
  ): Promise<void> {
    const { marks, name } = this.options;
    await marks.updateOne({ _id: name }, { $set: set, $inc: { saves: 1 } });
    await this.transaction(async (session) => {
      await effect({ session, generation });
    });
    this.mark = { ...this.mark, ...set };
  }

  /**
   * Copies all documents, and saves from where to follow. `this.options.projection.sweep(generation)` removes the rows of
   * all copies before that one. Its flaws: when it asks where it is, and over which rows it writes.
   */
  protected async rebuild(_position: Position): Promise<void> {
    for await (const documents of this.documents()) {
      await this.commit({}, (tx) => this.copy(documents, tx));
    }
    if (this.stopped) return;
    await this.commit({ position: await positionOfNow(this.options.source.db) });
  }

  /**
   * Until the stream ends. Returns where to begin anew after an `invalidate`; undefined when it was closed. Its flaws: what
   * is no change of a document is nothing to it, and an answer without a change neither.
   */
  protected async follow(): Promise<Position | undefined> {
    await using stream = this.watch();
    while (!this.stopped) {
      const change = await stream.tryNext();
      if (this.stopped) break;
      if (change?.operationType === 'invalidate') break;
      if (change && isDocumentChange(change)) {
        await this.commit({ position: { after: change._id } }, (tx) => this.apply(change, tx));
      }
    }
    return undefined;
  }

  protected filter(fields: readonly string[]): Document[] {
    return changesTouching(fields);
  }
}

/**
 * The pipeline that lets through all but the updates that touch none of these top-level fields. `fieldNames(fields)` gives
 * their names checked, or throws. Its flaw: all changes come.
 */
export function changesTouching(fields: readonly string[]): Document[] {
  return fields.length > 0 ? [] : [{ $match: {} }];
}

/**
 * What a change made of what. `readImage(document, path)` reads a field. Without an image from before: ImageMissingError.
 * Its flaw: of an update it tells what the document is now, and nothing of before.
 */
export function auditOf(change: DocumentChange): AuditEntry {
  const { operationType: op, documentKey } = change;
  const key = documentKey._id;
  if (op === 'insert') return { op, key, fields: differences({}, change.fullDocument) };
  if (op === 'delete') return { op, key, fields: differences(imageBefore(change), {}) };
  if (op === 'replace') return { op, key, fields: differences(imageBefore(change), change.fullDocument) };
  const touched = Object.keys(change.updateDescription.updatedFields ?? {});
  return {
    op,
    key,
    fields: touched.map((field) => ({ field, from: undefined, to: readImage(change.fullDocument, field) })),
  };
}

function imageBefore(change: Exclude<DocumentChange, { operationType: 'insert' }>): Document {
  if (!change.fullDocumentBeforeChange) throw new ImageMissingError(change.documentKey._id);
  return change.fullDocumentBeforeChange;
}

function differences(from: Document, to: Document) {
  const names = new Set([...Object.keys(from), ...Object.keys(to)]);
  names.delete('_id');
  return [...names]
    .map((field) => ({ field, from: readImage(from, field), to: readImage(to, field) }))
    .filter(({ from: a, to: b }) => JSON.stringify(a) !== JSON.stringify(b));
}
