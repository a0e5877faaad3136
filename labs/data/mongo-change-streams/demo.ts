import { startMongo } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { type CommandStartedEvent, MongoClient } from 'mongodb';
import { auditOf as auditOfNow } from './pitfalls/as-it-is-now.ts';
import { Projector as AsksAgain } from './pitfalls/asks-again.ts';
import { Projector as CopyFirst } from './pitfalls/copy-then-position.ts';
import { Projector as EffectFirst } from './pitfalls/effect-then-token.ts';
import { Projector as OpenOnly } from './pitfalls/filtered-by-what-it-is.ts';
import { Projector as LooksFirst } from './pitfalls/looked-before-it-wrote.ts';
import { Projector as TokenFirst } from './pitfalls/token-then-effect.ts';
import { auditOf, Board, type DocumentChange, FencedError, type Projection, Projector } from './src/index.ts';
import { aged, killedAfter, makeWorld, type Order, opened, order, start, type World } from './test/world.ts';

const KILLS = 10;
const quiet = { timeoutMs: 4000, intervalMs: 10 };
const options = {
  title: 'MongoDB change streams 实时数据监听',
  subtitle: 'The board in the dining room: what it shows after kills, gaps, drops, and a clerk who comes back late',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const mongo = await story.use(startMongo());
  await using bin = new AsyncDisposableStack();
  const client = bin.adopt(new MongoClient(mongo.url, { monitorCommands: true }), (it) => it.close());
  const db = client.db();
  let made = 0;
  type Kind = typeof Projector<Order>;
  const world = (Kind: Kind = Projector, number = ++made, of = db, its = client) =>
    makeWorld(of, number, { Board, Projector: Kind }, its);
  const settled = async (it: World, wait = 4000) => {
    const same = async () => JSON.stringify(await it.shown()) === JSON.stringify(await it.due());
    await until(same, { ...quiet, timeoutMs: wait }).catch(() => {});
    return { shown: (await it.shown())['udon'] ?? 0, due: (await it.due())['udon'] ?? 0 };
  };
  const hearing = (to: Projection<Order>, before: (change: DocumentChange<Order>) => unknown): Projection<Order> => ({
    copy: (documents, tx) => to.copy(documents, tx),
    sweep: (generation) => to.sweep(generation),
    apply: async (change, tx) => {
      await before(change);
      await to.apply(change, tx);
    },
  });

  await story.scene('A point for each order, and a clerk who is killed', async () => {
    story.say(
      'A change stream is no bell that rings for who is there: it is a history that is read, from a bookmark on. The clerk reads an order, gives its guest a point, and moves the bookmark. He is killed after each of his requests to the server in turn, and another goes on.',
    );
    const tried = async (Kind: Kind) => {
      const points = await Promise.all(
        Array.from({ length: KILLS }, async (_none, i) => {
          const it = world(Kind);
          await opened(it, it.counter());
          await it.orders.insertOne(order(1));
          const count = async (id: string) => (await it.points.findOne({ _id: id }))?.points ?? 0;
          const make = (of: typeof db, its: MongoClient) => world(Kind, it.number, of, its).counter();
          await killedAfter(mongo.nodes[0], 4 + (i % 5), make);
          await using _next = start(it.counter());
          await it.orders.insertOne(order(2));
          await until(() => count('2'), quiet);
          return count('1');
        }),
      );
      return { lost: points.filter((n) => n === 0).length, twice: points.filter((n) => n > 1).length };
    };
    const [token, effect, both] = [await tried(TokenFirst), await tried(EffectFirst), await tried(Projector)];
    story.table({
      caption: `${KILLS} clerks, each killed once`,
      columns: ['what is written first', 'orders lost', 'counted twice'],
      rows: [
        ['the bookmark', `${token.lost}`, `${token.twice}`],
        ['the point', `${effect.lost}`, `${effect.twice}`],
        ['both, in one transaction', `${both.lost}`, `${both.twice}`],
      ],
    });
    story.bars({
      title: `Orders wrong after ${KILLS} kills`,
      picture: true,
      items: [
        { label: 'bookmark, then point', value: token.lost + token.twice, tone: 'bad' },
        { label: 'point, then bookmark', value: effect.lost + effect.twice, tone: 'bad' },
        { label: 'one transaction', value: both.lost + both.twice, tone: 'good' },
      ],
    });
    story.verdict(
      'The bookmark first loses, the point first counts twice, one transaction does neither',
      `${token.lost} lost, ${effect.twice} twice, then ${both.lost + both.twice}`,
      token.lost > 0 && effect.twice > 0 && both.lost + both.twice === 0,
    );
  });

  await story.scene('The copy takes a while, and the kitchen does not wait', async () => {
    const copied = async (Kind: Kind) => {
      const it = world(Kind);
      await it.orders.insertMany([10, 20, 30, 40].map((id) => order(id)));
      let n = 0;
      const meanwhile = {
        ...hearing(it.board, () => {}),
        copy: async (...args: Parameters<typeof it.board.copy>) => {
          await it.board.copy(...args);
          await it.orders.insertOne(order(++n)); // where the copy has been already
        },
      };
      await using _run = start(it.projector({ projection: meanwhile, batch: 1 }));
      await until(async () => (await it.mark())?.position, quiet);
      return await settled(it, Kind === Projector ? 4000 : 400);
    };
    const [late, early] = [await copied(CopyFirst), await copied(Projector)];
    story.verdict(
      'Copy, then ask for the time: what came in between is in neither. Ask first, and the stream tells it',
      `${late.shown} of ${late.due} portions on the board, then ${early.shown} of ${early.due}`,
      late.shown < late.due && early.shown === early.due,
    );
  });

  await story.scene('The clerk was away for longer than the history is kept', async () => {
    story.say(
      'The server forgets: the oldest part of its history makes room for the newest. Whoever asks for it hears 286, today and for ever.',
    );
    const away = async (Kind: Kind, wait: number) => {
      const it = world(Kind);
      await it.orders.insertMany([order(1), order(2)]);
      await opened(it);
      await it.orders.insertOne(order(3));
      await it.orders.deleteOne({ _id: 1 });
      const stream = it.orders.watch([], { maxAwaitTimeMS: 20 });
      await stream.tryNext();
      await it.marks.updateOne({ _id: 'board' }, { $set: { position: { after: aged(stream.resumeToken) } } });
      await stream.close();
      let asked = 0;
      const count = ({ command }: CommandStartedEvent) => {
        if (command['aggregate'] === it.orders.collectionName && command['pipeline'][0]?.$changeStream) asked += 1;
      };
      client.on('commandStarted', count);
      await it.orders.insertOne(order(4));
      const begun = performance.now();
      await using _run = start(it.projector());
      const board = await settled(it, wait);
      client.off('commandStarted', count);
      return { ...board, asked, seconds: (performance.now() - begun) / 1_000 };
    };
    const [again, anew] = [await away(AsksAgain, 400), await away(Projector, 4000)];
    story.verdict(
      'Asking again is a storm on the server; a new copy is asked for once, and has no order that was cancelled',
      `asked ${again.asked} times in ${again.seconds.toFixed(1)} s, board wrong; then ${anew.asked} times, ${anew.shown} of ${anew.due} portions`,
      again.asked > 10 && again.shown !== again.due && anew.asked === 2 && anew.shown === anew.due,
    );
    const it = world();
    await using _run = start(it.projector({ quietMs: 0 }));
    const at = async () => JSON.stringify((await it.mark())?.position ?? null);
    const first = await until(async () => ((await at()) === 'null' ? '' : at()), quiet);
    await db.collection('elsewhere').insertOne({ a: 1 });
    const moved = await until(async () => (await at()) !== first, quiet).catch(() => false);
    story.verdict(
      'It is a quiet stream that this happens to: so its bookmark moves with answers that are empty',
      moved ? 'it moved, without an order' : 'it stood',
      moved,
    );
  });

  await story.scene('A new year: the orders are dropped, and begin again', async () => {
    const it = world();
    await it.orders.insertMany([order(1), order(2)]);
    await using _run = start(it.projector());
    await until(async () => (await it.mark())?.position, quiet);
    await it.orders.drop();
    await it.orders.insertOne(order(3, 5));
    const board = await settled(it);
    story.verdict(
      'The stream ends with an invalidate; what comes after it is asked for with its token, by startAfter',
      `${board.shown} of ${board.due} portions, of which none is last year's`,
      board.shown === 5 && board.due === 5,
    );
  });

  await story.scene('Two clerks', async () => {
    story.say(
      'The first is gone for a while, with an order in his hand. A second is sent, and counts it. Then the first comes back, and writes.',
    );
    const contest = async (Kind: Kind) => {
      const it = world(Kind);
      await opened(it, it.counter());
      const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const slow = hearing(it.counting, async () => {
        reached.resolve();
        await goOn.promise;
      });
      await using first = start(it.projector({ projection: slow }));
      await it.orders.insertOne(order(1));
      await reached.promise;
      await using _second = start(it.counter());
      const points = async () => (await it.points.findOne({ _id: '1' }))?.points ?? 0;
      await until(points, quiet);
      goOn.resolve();
      let isTold = false;
      const told = first.ended
        .catch((error: unknown) => error)
        .finally(() => {
          isTold = true;
        });
      const twice = until(async () => isTold || (await points()) > 1, quiet).catch(() => {});
      const error = await Promise.race([told, twice.then(() => (isTold ? told : undefined))]);
      return { points: await points(), error };
    };
    story.code('src/projector.ts', { from: 'await this.transaction', to: 'if (matchedCount' });
    const [looked, fenced] = [await contest(LooksFirst), await contest(Projector)];
    story.verdict(
      'Who looks first and then writes, writes late; a condition in the write itself refuses him',
      `${looked.points} points for one order, then ${fenced.points}`,
      looked.points === 2 && fenced.points === 1 && fenced.error instanceof FencedError,
    );
  });

  await story.scene('What was it before, and what became of it?', async () => {
    const it = world();
    await db.createCollection(it.orders.collectionName, { changeStreamPreAndPostImages: { enabled: true } });
    await opened(it);
    await it.orders.insertOne(order(1));
    for (const portions of [2, 3, 4]) await it.orders.updateOne({ _id: 1 }, { $set: { portions } });
    const [now, then]: [string[], string[]] = [[], []];
    const journal = hearing(it.board, (change) => {
      if (change.operationType !== 'update') return;
      const { from, to } = auditOf(change).fields[0] ?? {};
      then.push(`${from} → ${to}`);
      now.push(`${from} → ${auditOfNow(change).fields[0]?.to}`);
    });
    await using _run = start(it.projector({ projection: journal, before: 'required' }));
    await until(() => then.length === 3, quiet).catch(() => {});
    story.verdict(
      'updateLookup is the document as it is now: right for a board, wrong for an audit',
      `looked up: ${now.join(', ')}; from the image before and the description: ${then.join(', ')}`,
      now.join() === '1 → 4,2 → 4,3 → 4' && then.join() === '1 → 2,2 → 3,3 → 4',
    );
  });

  await story.scene('Sixty notes, and an order that is served', async () => {
    const filtered = async (Kind: Kind) => {
      const it = world(Kind);
      let came = 0;
      const projection = hearing(it.board, () => ++came);
      await using _run = start(it.projector({ projection, touching: ['dish', 'portions', 'status'] }));
      await until(async () => (await it.mark())?.position, quiet);
      await it.orders.insertMany([order(1), order(2)]);
      for (let n = 0; n < 30; n += 1) await it.orders.updateMany({}, { $set: { note: `${n}` } });
      await it.orders.updateOne({ _id: 1 }, { $set: { status: 'served' } });
      return { ...(await settled(it, Kind === Projector ? 4000 : 500)), came };
    };
    const [open, touching] = [await filtered(OpenOnly), await filtered(Projector)];
    story.verdict(
      'A filter on what the order is misses that it left; one on what was touched lets 3 changes of 63 through',
      `${open.shown} of ${open.due} portion shown, then ${touching.shown}, with ${touching.came} changes`,
      open.shown > open.due && touching.shown === touching.due && touching.came === 3,
    );
  });

  await (mongo.standIn === undefined
    ? story.scene('The image after a change', async () => {
        const it = world();
        await db.createCollection(it.orders.collectionName, { changeStreamPreAndPostImages: { enabled: true } });
        await opened(it);
        await it.orders.insertOne(order(1));
        for (const portions of [2, 3, 4]) await it.orders.updateOne({ _id: 1 }, { $set: { portions } });
        const seen: unknown[] = [];
        const projection = hearing(it.board, (change) => {
          if (change.operationType === 'update') seen.push(change.fullDocument?.portions);
        });
        await using _run = start(it.projector({ projection, document: 'required' }));
        await until(() => seen.length === 3, quiet).catch(() => {});
        story.verdict('It is the document as it was then', seen.join(', '), seen.join() === '2,3,4');
      })
    : story.skip(
        'The image after a change',
        'cannot be shown on a stand-in: it looks the document up where a mongod has kept it',
      ));
});
