import { startMongo } from '@shared/services';
import { tell } from '@shared/story';
import { outcome, random, until } from '@shared/testkit';
import { type ClientSession, type Document, MongoClient } from 'mongodb';
import { insertOnce as insertAnew } from './pitfalls/new-id-each-time.ts';
import { transactOnce as allAgain } from './pitfalls/unknown-commit-all-again.ts';
import {
  account,
  causalToken,
  evenLayout,
  insertOnce,
  type Keyed,
  keyReport,
  longestGap,
  measureFailover,
  resumeCausal,
  type ShardKey,
  shardsFor,
  transactOnce,
  writeOutcome,
} from './src/index.ts';
import { onEachShard, orWhyNot, rollBack, sharded } from './test/clusters.ts';
import { lossyLink } from './test/lossy-link.ts';
import { parcels, SHARDS } from './test/parcels.ts';
import { relayFailover } from './test/relay-model.ts';

const percent = (share: number) => `${Math.round(share * 100)} %`;

const options = {
  title: 'MongoDB replication and sharding 副本集与分片',
  subtitle: 'A notebook in three copies, parcels at ten counters: what is written where, and who is asked',
  dir: import.meta.dirname,
  next: ['`pnpm lab learn mongo-replication` to build it yourself'],
};

await tell(options, async (story) => {
  const mongo = await story.use(startMongo());
  await using bin = new AsyncDisposableStack();
  const direct = bin.adopt(new MongoClient(mongo.url), (it) => it.close());
  const link = bin.use(await lossyLink(mongo.nodes[0]));
  const shaky = { serverSelectionTimeoutMS: 150 };
  const client = bin.adopt(new MongoClient(link.url, shaky), (it) => it.close());
  const through = (name: string) => client.db().collection<Keyed>(name);
  const there = (name: string) => direct.db().collection<Keyed>(name);

  await story.scene('The customer who is in the notebook twice', async () => {
    story.say(
      'Thirty customers are written into the notebook. It takes each down, and its "yes" is lost on the way: twice, so that the one retry of the driver is used up. The clerk writes again.',
    );
    const written: Record<string, number> = {};
    for (const [name, insert] of Object.entries({ anew: insertAnew, once: insertOnce })) {
      for (let n = 0; n < 30; n++) {
        link.lose('insert', 2);
        await insert(through(name), { _id: `request ${n}`, customer: `c${n}` });
      }
      written[name] = await there(name).countDocuments();
    }
    story.table({
      columns: ['30 customers, 60 answers lost', 'pages in the notebook'],
      rows: [
        ['a new page for each attempt', `${written['anew']}`],
        ["one key for each customer's request", `${written['once']}`],
      ],
    });
    story.verdict(
      'An error is no proof that nothing was written',
      `${written['anew']} pages of 30`,
      written['anew'] === 60,
    );
    story.verdict('What has a key is written once', `${written['once']} pages of 30`, written['once'] === 30);
  });

  await story.scene('What an error says, and what it does not', async () => {
    story.say('Five writes end in an error. Which of them are in the notebook? See `writeOutcome`.');
    const plain = bin.adopt(new MongoClient(link.url, { ...shaky, retryWrites: false }), (it) => it.close());
    const notes = there('errors');
    const faults: [string, MongoClient, () => void, Document?][] = [
      ['the answer is lost', plain, () => link.lose('insert', 1)],
      ['lost, and no server for a retry', client, () => link.lose('insert', 1, () => link.cut())],
      ['there is no server', client, () => link.cut()],
      ['the key is taken', client, () => void 0],
      ['three copies wished of one', client, () => void 0, { writeConcern: { w: 3, wtimeoutMS: 100 } }],
    ];
    await notes.insertOne({ _id: 'the key is taken', old: true });
    const rows = [];
    for (const [fault, from, befall, how] of faults) {
      await until(() => from.db().command({ ping: 1 }), { what: 'a server that is found again' });
      befall();
      const { error } = await outcome(from.db().collection<Keyed>('errors').insertOne({ _id: fault }, how), 5_000);
      link.mend();
      const isThere = (await notes.countDocuments({ _id: fault, old: { $exists: false } })) === 1;
      rows.push({ fault, name: error instanceof Error ? error.name : 'none', isThere, said: writeOutcome(error) });
    }
    story.table({
      columns: ['what befell it', "the driver's error", 'there?', 'outcome'],
      rows: rows.map(({ fault, name, isThere, said }) => [
        fault,
        name.replace(/^Mongo/, ''),
        isThere ? 'yes' : 'no',
        said,
      ]),
    });
    const wrong = rows.filter(({ isThere, said }) => said === (isThere ? 'not applied' : 'applied')).length;
    story.verdict('What is said is true, and what is not known is not said', `${wrong} of 5 wrong`, wrong === 0);
    const selection = rows.filter(({ name }) => name === 'MongoServerSelectionError');
    story.verdict(
      'One and the same error stands for "written" and for "not written"',
      `${selection.length} times MongoServerSelectionError`,
      new Set(selection.map(({ isThere }) => isThere)).size === 2,
    );
  });

  await story.scene('The transfer whose receipt got lost', async () => {
    story.say(
      'Ten yuan go from one account to the other, in a transaction. Its commit is carried out; four answers to it get lost.',
    );
    const moved: Record<string, number> = {};
    for (const [name, transact] of Object.entries({ again: allAgain, once: transactOnce })) {
      await there(name).insertMany([
        { _id: 'from', yuan: 100 },
        { _id: 'to', yuan: 0 },
      ]);
      const move = async (session: ClientSession) => {
        await through(name).updateOne({ _id: 'from' }, { $inc: { yuan: -10 } }, { session });
        await through(name).updateOne({ _id: 'to' }, { $inc: { yuan: 10 } }, { session });
      };
      link.lose('commitTransaction', 4);
      await transact(client, move);
      moved[name] = Number((await there(name).findOne({ _id: 'to' }))?.['yuan']);
    }
    const said = `${moved['again']} yuan, then ${moved['once']}`;
    story.verdict(
      'Done again whole it moves more; committed again alone it moves ten',
      said,
      Number(moved['again']) > 10 && moved['once'] === 10,
    );
  });

  const fall = () =>
    story.scene('The runner who falls', async () => {
      story.say(
        mongo.standIn === undefined
          ? 'One node is killed and comes back while four clerks write. A set of three would elect another meanwhile.'
          : 'The node is killed and comes back while four clerks write. (A replica set elects another instead; this stand-in is one node.)',
      );
      const [node] = mongo.nodes;
      const through1 = bin.adopt(new MongoClient(mongo.url, { ...shaky, retryWrites: false }), (it) => it.close());
      const through2 = bin.adopt(new MongoClient(mongo.url), (it) => it.close());
      const ways = {
        'as it comes': (_id: string) => through1.db().collection<Keyed>('as it comes').insertOne({ _id }),
        insertOnce: (_id: string) => insertOnce(through2.db().collection<Keyed>('insertOnce'), { _id }),
      };
      const rows = [];
      for (const [way, write] of Object.entries(ways)) {
        const entries = await measureFailover(write, async () => {
          await node.kill();
          await node.restart();
        });
        const found = (await there(way).find().toArray()).map(({ _id }) => _id);
        const { acknowledged, lost, open } = account(entries, found);
        rows.push({ way, acknowledged, lost: lost.length, open: open.there + open.gone, gap: longestGap(entries) });
      }
      story.table({
        columns: ['way', 'acknowledged', 'of them lost', 'no answer', 'longest gap, ms'],
        rows: rows.map((it) => [it.way, `${it.acknowledged}`, `${it.lost}`, `${it.open}`, it.gap.toFixed(0)]),
      });
      story.say(
        'The notebook says "the service goes on". It goes on when there is a leader again, which takes a majority: of two copies, the one that is left elects nobody.',
      );
      const [plain, once] = rows;
      story.verdict(
        'There is a gap, in which writes fail, or wait',
        `${plain?.open} failed as it comes, ${once?.open} by insertOnce`,
        (plain?.open ?? 0) > 0 && once?.open === 0 && rows.every(({ gap, lost }) => gap > 50 && lost === 0),
      );
    });
  if (mongo.faults) await fall();
  else story.skip('The runner who falls', 'the server is yours, and is not killed');

  await story.scene('One copy, or a majority of three', async () => {
    story.say(
      '**A model, no MongoDB**: the leader of a relay writes on while nobody copies him, and falls; of the two others the one with more pages leads. 500 relays each.',
    );
    const relays = ([1, 'majority'] as const).map((w) => {
      const told = Array.from({ length: 500 }, (_, seed) => relayFailover(random(seed), w)).map((it) =>
        account(it.entries, it.survivors),
      );
      const sum = (of: (it: (typeof told)[number]) => number) => told.reduce((all, it) => all + of(it), 0);
      return {
        acknowledged: sum((it) => it.acknowledged),
        lost: sum((it) => it.lost.length),
        open: sum((it) => it.open.gone),
      };
    });
    const [one, majority] = relays;
    story.table({
      columns: ['write concern', 'pages acknowledged', 'of them lost', 'gone without a promise'],
      rows: relays.map((it, i) => [i === 0 ? 'w: 1' : 'w: majority', `${it.acknowledged}`, `${it.lost}`, `${it.open}`]),
    });
    story.say(
      'The notebook says "all copies are in step, nothing is lost". They are behind by a little, always; and what is crossed out is crossed out in all copies: a replica set is no backup.',
    );
    story.verdict(
      'What one copy has said may be gone, what two have said is not',
      `${one?.lost} lost, then ${majority?.lost}`,
      Number(one?.lost) > 0 && majority?.lost === 0,
    );
  });

  const set =
    mongo.standIn === undefined
      ? await orWhyNot({ replicaSet: 3 })
      : 'cannot be shown on a stand-in: it elects nobody, and rolls nothing back';
  if (typeof set === 'string') story.skip('The same on three mongods', set);
  else {
    await story.use(Promise.resolve(set));
    await story.scene('The same on three mongods', async () => {
      const all = bin.adopt(new MongoClient(set.url), (it) => it.close());
      const { told } = await rollBack(set, all, 'relay');
      const kept = told.lost.filter((id) => id.startsWith('majority')).length;
      story.verdict(
        'w: 1 is rolled back, w: majority is not',
        `${told.lost.length} of 20 lost, ${kept} of 20`,
        told.lost.length > 0 && kept === 0,
      );
    });
  }

  await story.scene('Your own page, in another copy', async () => {
    story.say(
      'You write at one window and read at the next, where a copy may be behind. A token goes along, and the copy waits for it.',
    );
    const next = bin.adopt(new MongoClient(mongo.url, { monitorCommands: true }), (it) => it.close());
    const finds: Document[] = [];
    next.on('commandStarted', ({ command }) => void (command['find'] === 'page' && finds.push(command)));
    const mine = direct.startSession();
    await there('page').insertOne({ _id: 'mine' }, { session: mine });
    const token = causalToken(mine);
    const theirs = resumeCausal(next, token);
    for (const session of [undefined, theirs])
      await next
        .db()
        .collection('page')
        .findOne({}, session && { session });
    const [without, along] = finds.map((it) => String(it['readConcern']?.afterClusterTime?.toString() ?? 'nothing'));
    story.table({
      columns: ['the read', 'waits for the time'],
      rows: [
        ['without the token', `${without}`],
        ['with it', `${along}`],
        ['(the time of the write)', `${mine.operationTime}`],
      ],
    });
    story.verdict(
      'With the token a read waits for your write',
      `${token.length} characters`,
      without === 'nothing' && along === String(mine.operationTime),
    );
    if (mongo.standIn !== undefined)
      story.say('That a copy is behind cannot be shown on a stand-in: it is the only one.');
    await Promise.all([mine, theirs].map((it) => it.endSession()));
  });

  const sample = parcels(4_000, random(7));

  await story.scene('Parcels by the last digit of the phone', async () => {
    story.say(
      '4,000 parcels on the big day. The counters are even over the first half; where does the second half go? See `keyReport`. (An eleventh counter is set up by somebody, who also has ranges moved to it.)',
    );
    const keys: [string, ShardKey][] = [
      ['number', [['no', 1]]],
      ['shop, hashed', [['shop', 'hashed']]],
      ['last digit', [['tail', 1]]],
      ['number, hashed', [['no', 'hashed']]],
    ];
    const reports = keys.map(([name, key]) => ({
      name,
      ten: keyReport(key, sample, 10),
      eleven: keyReport(key, sample, 11),
    }));
    story.table({
      columns: ['shard key', 'values', 'top value', 'busiest of 10', 'idle of 10', 'idle of 11'],
      rows: reports.map(({ name, ten, eleven }) => [
        name,
        `${ten.distinct}`,
        percent(ten.mostFrequent),
        percent(ten.busiest),
        `${ten.idle}`,
        `${eleven.idle}`,
      ]),
    });
    story.bars({
      title: 'New parcels at the busiest of ten counters, in percent',
      picture: true,
      items: reports.map(({ name, ten }) => ({
        label: name,
        value: Math.round(ten.busiest * 100),
        tone: ten.busiest > 0.2 ? 'bad' : 'good',
      })),
    });
    const [growing, shop, tail, hashed] = reports;
    story.verdict(
      'A number that grows sends all to the last counter',
      percent(growing?.ten.busiest ?? 0),
      growing?.ten.busiest === 1,
    );
    story.verdict(
      'Its hash spreads them, a tenth each and half as much again at most',
      percent(hashed?.ten.busiest ?? 1),
      (hashed?.ten.busiest ?? 1) < 0.15,
    );
    story.verdict(
      'A hash of few values is a few hashes',
      percent(shop?.ten.busiest ?? 0),
      (shop?.ten.busiest ?? 0) > 0.4,
    );
    story.verdict(
      'Ten digits fill ten counters: the eleventh stays empty',
      `${tail?.eleven.idle} idle of 11`,
      tail?.eleven.idle === 1,
    );
  });

  await story.scene('Who is asked', async () => {
    const layout = evenLayout(
      [
        ['customer', 1],
        ['no', 1],
      ],
      sample,
      SHARDS,
    );
    story.say(
      `The control desk knows no parcel: it knows ${layout.chunks.length} ranges of the key (customer, number), and asks whom it must.`,
    );
    const asked: [string, Document, number][] = [
      ['customer and number', { customer: 'c500', no: 7 }, 1],
      ['customer', { customer: 'c500' }, 2],
      ['two customers', { customer: { $in: ['c1', 'c900'] } }, 2],
      ['number alone', { no: 7 }, 10],
      ['shop', { shop: 'shop 3' }, 10],
    ];
    const rows = asked.map(([name, filter, most]) => ({ name, most, ...shardsFor(layout, filter) }));
    story.table({
      columns: ['a query by', 'counters asked', 'targeted'],
      rows: rows.map(({ name, shards, targeted }) => [name, `${shards.length} of 10`, targeted ? 'yes' : 'no']),
    });
    const fits = rows.every(({ shards, most, targeted }) => shards.length <= most && targeted === most < 10);
    story.verdict(
      'A prefix of the key finds its counter; all else asks all ten, each time',
      rows.map(({ shards }) => shards.length).join(', '),
      fits,
    );
  });

  const cluster =
    mongo.standIn === undefined ? await orWhyNot({ shards: 2 }) : 'cannot be shown on a stand-in: it has no shards';
  if (typeof cluster === 'string') story.skip('The same on two shards', cluster);
  else {
    await story.use(Promise.resolve(cluster));
    await story.scene('The same on two shards', async () => {
      const router = bin.adopt(new MongoClient(cluster.url), (it) => it.close());
      await sharded(router, 'growing', { no: 1 }, sample);
      await sharded(router, 'hashed', { no: 'hashed' }, sample);
      const [growing, hashed] = [await onEachShard(router, 'growing'), await onEachShard(router, 'hashed')];
      story.verdict(
        'All on one shard by the number, both by its hash',
        `${growing}; ${hashed}`,
        growing[1] === 0 && Number(hashed[1]) > 1_600,
      );
    });
  }
});
