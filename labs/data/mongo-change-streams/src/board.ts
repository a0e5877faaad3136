import type { AnyBulkWriteOperation, Collection, Document, WithId } from 'mongodb';
import { ChangeStreamError } from './errors.ts';
import type { Bookmark, DocumentChange, Projection, Tx } from './runner.ts';

/** What a board shows of a document. */
export interface BoardLine {
  readonly group: string;
  readonly amount: number;
}

export interface BoardRow extends BoardLine {
  readonly _id: { readonly generation: number; readonly key: unknown };
}

/** Sums by group, kept as a row a document: what comes twice changes nothing. */
export class Board<T extends Document> implements Projection<T> {
  readonly #rows: Collection<BoardRow>;
  readonly #lineOf: (document: WithId<T>) => BoardLine | undefined;

  /** @param lineOf What is shown of a document; undefined for one that is not on the board */
  constructor(rows: Collection<BoardRow>, lineOf: (document: WithId<T>) => BoardLine | undefined) {
    this.#rows = rows;
    this.#lineOf = lineOf;
  }

  async apply(change: DocumentChange<T>, { session, generation }: Tx): Promise<void> {
    // Looked up, it may be gone already; that it was deleted is told, too.
    const document = change.operationType === 'delete' ? null : (change.fullDocument ?? null);
    const key = change.documentKey._id;
    await this.#rows.bulkWrite([this.#row({ generation, key }, document as WithId<T> | null)], { session });
  }

  async copy(documents: readonly WithId<T>[], { session, generation }: Tx): Promise<void> {
    const rows = documents.map((document) => this.#row({ generation, key: document._id }, document));
    await this.#rows.bulkWrite(rows, { session });
  }

  async sweep(generation: number): Promise<void> {
    await this.#rows.deleteMany({ '_id.generation': { $lt: generation } });
  }

  #row(_id: BoardRow['_id'], document: WithId<T> | null): AnyBulkWriteOperation<BoardRow> {
    const line = document === null ? undefined : this.#lineOf(document);
    if (line === undefined) return { deleteOne: { filter: { _id } } };
    return { replaceOne: { filter: { _id }, replacement: { group: line.group, amount: line.amount }, upsert: true } };
  }

  /** The sums of the generation that is whole, by group; null before there is one. */
  async read(marks: Collection<Bookmark>, name: string): Promise<ReadonlyMap<string, number> | null> {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const mark = await marks.findOne({ _id: name });
      if (mark === null || mark.position === null) return null;
      const sums = await this.#rows
        .aggregate<{ _id: string; amount: number }>([
          { $match: { '_id.generation': mark.generation } },
          { $group: { _id: '$group', amount: { $sum: '$amount' } } },
          { $sort: { _id: 1 } },
        ])
        .toArray();
      // A new copy that came in between has swept the rows that were just read.
      const { generation } = (await marks.findOne({ _id: name })) ?? mark;
      if (generation === mark.generation) return new Map(sums.map(({ _id, amount }) => [_id, amount]));
    }
    throw new ChangeStreamError('The board was copied anew five times while it was read: try again.');
  }
}
