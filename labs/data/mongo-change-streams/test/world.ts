// The restaurant's orders, and what is kept of them: a board by dish, and the points of each guest.
import { until } from '@shared/testkit';
import { BSON, type Collection, type Db, MongoClient } from 'mongodb';
import type { Board, BoardRow, Bookmark, DocumentChange, Projection, Projector, ProjectorOptions, Tx } from '#lab';
import { mortal } from './mortal.ts';

export interface Order {
  readonly _id: number;
  readonly dish: string;
  readonly portions: number;
  readonly status: 'open' | 'served';
  readonly guest?: string;
  readonly note?: string;
}

export const order = (_id: number, portions = 1, dish = 'udon'): Order => ({ _id, dish, portions, status: 'open' });
export const lineOf = ({ dish, portions, status }: Order) =>
  status === 'open' ? { group: dish, amount: portions } : undefined;

interface GuestPoints {
  readonly _id: string;
  readonly points: number;
}

/** One point an event: what comes twice counts twice, so nothing may. It has no copy: it begins with an empty book. */
export class Points implements Projection<Order> {
  readonly #points: Collection<GuestPoints>;

  constructor(points: Collection<GuestPoints>) {
    this.#points = points;
  }

  async apply(change: DocumentChange<Order>, { session }: Tx): Promise<void> {
    if (change.operationType !== 'insert') return;
    await this.#points.updateOne(
      { _id: `${change.documentKey._id}` },
      { $inc: { points: 1 } },
      { upsert: true, session },
    );
  }

  async copy(): Promise<void> {}
  async sweep(): Promise<void> {}
}

/** Collections of one's own, and the classes that are told about them. */
export function makeWorld(
  db: Db,
  number: number,
  Lab: { Board: typeof Board; Projector: new (options: ProjectorOptions<Order>) => Projector<Order> },
  client: MongoClient,
) {
  const name = `w${number}`;
  const orders = db.collection<Order>(`${name}_orders`);
  const marks = db.collection<Bookmark>(`${name}_marks`);
  const points = db.collection<GuestPoints>(`${name}_points`);
  const board = new Lab.Board<Order>(db.collection<BoardRow>(`${name}_rows`), lineOf);
  const quick = { client, source: orders, marks, name: 'board', awaitMs: 20, quietMs: 60_000 };
  const made: Projector<Order>[] = [];
  const projector = (more: Partial<ProjectorOptions<Order>> = {}) => {
    const it = new Lab.Projector({ ...quick, projection: board, ...more });
    made.push(it);
    return it;
  };
  return {
    number,
    orders,
    marks,
    points,
    board,
    mark: () => marks.findOne({ _id: 'board' }),
    projector,
    /** For the end of a message: the errors that runs ended with. */
    ends: () => {
      const ends = made.filter((it) => errors.has(it)).map((it) => ` (a run ended with ${errors.get(it)})`);
      return [...new Set(ends)].join('');
    },
    /** No run goes on: nothing more will come of what was written. */
    isOver: () => made.every((it) => !running.has(it)),
    counting: new Points(points),
    counter: () => projector({ projection: new Points(points) }),
    shown: async () => Object.fromEntries((await board.read(marks, 'board')) ?? [['no board', 0]]),
    due: async () => {
      const sums: Record<string, number> = {};
      for (const line of (await orders.find().sort({ _id: 1 }).toArray()).map((it) => lineOf(it)))
        if (line) sums[line.group] = (sums[line.group] ?? 0) + line.amount;
      return Object.fromEntries(Object.entries(sums).sort(([a], [b]) => (a < b ? -1 : 1)));
    },
  };
}

/** The errors that runs ended with: what a law shows next is their consequence. */
const errors = new WeakMap<object, unknown>();
const running = new WeakSet<object>();

export type World = ReturnType<typeof makeWorld>;

/** What runs, with its end. Its rejection is looked at by whoever awaits `ended`. */
export function start(projector: Projector<Order>) {
  running.add(projector);
  const ended = projector.run().finally(() => running.delete(projector));
  ended.catch((error: unknown) => errors.set(projector, error));
  return { ended, projector, [Symbol.asyncDispose]: () => projector.close() };
}

/** The first copy is made, and it stops: from here on it is all about the stream. */
export async function opened(world: World, projector = world.projector()): Promise<void> {
  await using _run = start(projector);
  await until(async () => (await world.mark())?.position, { what: 'the first copy' });
}

type Target = { url: string; host: string; port: number };

/**
 * A projector whose connection ends for good after its n-th request.
 * @returns the request, or undefined when it ended with fewer
 */
export async function killedAfter(
  target: Target,
  n: number,
  make: (db: Db, client: MongoClient) => Projector<Order>,
): Promise<string | undefined> {
  await using way = await mortal(target, n);
  const client = new MongoClient(way.url, { serverSelectionTimeoutMS: 3000, retryWrites: false, retryReads: false });
  const projector = make(client.db(), client);
  const { ended } = start(projector);
  // Who has done all of it asks its stream on and on: the n-th request comes.
  const last = await Promise.race([way.died, ended.then(() => undefined, String)]);
  const closing = projector.close();
  closing.catch(() => {});
  await way[Symbol.asyncDispose]();
  await client.close(true).catch(() => {});
  await closing.catch(() => {});
  return last;
}

/** The same token, from before the beginning of the history. Its form is the server's own affair, of each another one. */
export function aged(token: unknown): { _data: string } {
  const text = typeof token === 'object' && token !== null ? String(Reflect.get(token, '_data')) : '';
  // A mongod's token: 82, then seconds and number of the time.
  if (text.startsWith('82')) return { _data: `820000000100000001${text.slice(18)}` };
  const fields = BSON.deserialize(Buffer.from(text, 'hex'));
  return { _data: Buffer.from(BSON.serialize({ ...fields, s: new BSON.Int32(0) })).toString('hex') };
}
