import { startMongo } from '@shared/services';
import { tell } from '@shared/story';
import { outcome } from '@shared/testkit';
import { MongoClient } from 'mongodb';
import {
  assertIndexed,
  type Explainable,
  explainSummary,
  indexedPrefix,
  indexFor,
  NotIndexedError,
} from './src/index.ts';
import { COUNT_SBE, EXPRESS, REGEX_SBE, SHARDED_MIXED, SORTED_IN_MEMORY } from './test/records.ts';

const READERS = 1_000;
const FAMILIES = ['张', '李', '王', '赵'];
const options = {
  title: 'MongoDB indexes and query plans 索引与执行计划',
  subtitle: "The librarian's report: which way he went, how many books he opened, and a gate that reads it",
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const mongo = await story.use(startMongo());
  await using bin = new AsyncDisposableStack();
  const client = bin.adopt(new MongoClient(mongo.url), (it) => it.close());
  const users = client.db().collection('users');
  await users.insertMany(
    Array.from({ length: READERS }, (_, i) => ({
      name: i === 777 ? '张三' : `${FAMILIES[i % 4]}${i}`,
      age: 18 + (i % 61),
      gender: i % 2 === 0 ? '男' : '女',
      at: new Date(Date.UTC(2026, 0, 1, 0, i)),
    })),
  );
  const summaryOf = async (cursor: Explainable) => explainSummary(await cursor.explain('executionStats'));
  const bounds = (of: ReturnType<typeof explainSummary>) => of.indexes.map((it) => it.bounds).join(', ') || '–';

  await story.scene('The librarian opens every book', async () => {
    story.say(
      "You ask for the reader 张三. `explain` is the librarian's report: not what he found, but how he looked for it.",
    );
    const zhang = () => users.find({ name: '张三' });
    const scan = await summaryOf(zhang());
    await users.createIndex({ name: 1 });
    const search = await summaryOf(zhang());
    story.bars({
      title: `Documents opened for one reader of ${READERS}`,
      picture: true,
      items: [
        { label: `${scan.stages.join(' ← ')}`, value: scan.docs ?? Number.NaN, tone: 'bad' },
        { label: `${search.stages.join(' ← ')}`, value: search.docs ?? Number.NaN, tone: 'good' },
      ],
    });
    story.verdict(
      'COLLSCAN opens all of them, an index one',
      `${scan.docs} (${scan.verdict}), then ${search.docs} (${search.verdict})`,
      scan.docs === READERS && scan.verdict === 'scan' && search.docs === 1 && search.verdict === 'ok',
    );
    const other = await summaryOf(users.find({ username: '张三' }));
    story.verdict(
      'An index on `name` is none on `username`: ask for the field that is there',
      `${other.docs} opened, ${other.returned} found`,
      other.docs === READERS && other.returned === 0,
    );
  });

  await story.scene("A catalogue by age doesn't find women", async () => {
    await users.createIndex({ age: 1, gender: 1 });
    const partial = { name: 'men', partialFilterExpression: { gender: '男' } };
    await users.createIndex({ at: 1 }, partial);
    const at = new Date(Date.UTC(2026, 0, 1, 0, 8));
    const asked = {
      '{ age }': { age: 20 },
      '{ age, gender }': { age: 20, gender: '男' },
      '{ gender }': { gender: '女' },
      '{ at, gender: 男 }': { at, gender: '男' },
      '{ at }': { at },
    };
    const rows = [];
    for (const [name, filter] of Object.entries(asked)) rows.push({ name, ...(await summaryOf(users.find(filter))) });
    story.say('Two indexes: `{ age: 1, gender: 1 }`, and `{ at: 1 }` of the men alone (a partial index).');
    story.table({
      columns: ['asked for', 'verdict', 'index', 'documents opened', 'found'],
      rows: rows.map((it) => [it.name, it.verdict, it.indexes[0]?.name ?? '–', `${it.docs}`, `${it.returned}`]),
    });
    const said = rows.map(({ verdict }) => verdict).join(' ');
    story.verdict(
      'The first field decides, and a partial index serves who asks within it',
      said,
      said === 'ok ok scan ok scan',
    );
  });

  await story.scene('IXSCAN is no proof: /^张/, /张/, /^张/i', async () => {
    story.say(
      'It is often said that `/^张/` may end in a COLLSCAN. With an index on the field it opens one drawer of the catalogue. `/张/` and `/^张/i` go through **all** drawers, and the report still says IXSCAN.',
    );
    const regexes = [/^张/, /^张三?/, /张/, /^张/i, /^张|^李/];
    const found = regexes.map((regex) => indexedPrefix(regex));
    story.table({
      columns: ['expression', 'drawer'],
      rows: regexes.map((regex, i) => [String(regex), found[i] === undefined ? 'all of them' : `from ${found[i]}`]),
    });
    story.verdict(
      'The anchored one has a prefix, the others have none',
      `${found.filter((it) => it === '张').length} of ${found.length} are bounded by 张`,
      found.map((it) => it ?? '–').join() === '张,张,–,–,–',
    );
    const png = explainSummary(REGEX_SBE);
    story.verdict(
      'Recorded on MongoDB 5.3: /png/i, an IXSCAN, is told from a search',
      `${png.keys} keys for ${png.returned} answers: ${png.verdict}, bounds ${bounds(png)}`,
      png.stages.includes('IXSCAN') && png.verdict === 'wholeIndex' && (png.keys ?? 0) > 50 * (png.returned ?? 0),
    );
  });

  await story.scene('One report, in every dialect', async () => {
    story.say('Recorded by others on mongods of 3.2 to 8.0. "naive" asks whether the text has an IXSCAN in it.');
    const dialects = {
      'slot-based, $count': COUNT_SBE,
      express: EXPRESS,
      'three shards, one without the index': SHARDED_MIXED,
      'slot-based, /png/i': REGEX_SBE,
      'classic, sorted in memory': SORTED_IN_MEMORY,
      'a stage of tomorrow': { queryPlanner: { winningPlan: { stage: 'TOMORROW_IXSCAN', indexName: 'a_1' } } },
    };
    const rows = Object.entries(dialects).map(([name, answer]) => ({
      name,
      naive: JSON.stringify(answer).includes('IXSCAN') ? 'ok' : 'scan',
      summary: explainSummary(answer),
    }));
    story.table({
      columns: ['plan', 'naive', 'verdict', 'keys / docs / returned'],
      rows: rows.map(({ name, naive, summary: it }) => [
        name,
        naive,
        `${it.verdict}${it.memorySort ? ', sorts in memory' : ''}`,
        it.keys === undefined ? '–' : `${it.keys} / ${it.docs} / ${it.returned}`,
      ]),
    });
    const wrong = rows.filter(({ naive, summary }) => naive !== summary.verdict).length;
    const said = rows.map(({ summary }) => summary.verdict).join(' ');
    story.verdict(
      'Read to the end, each says what it is; what is not known is never ok',
      `${said}; naive is wrong on ${wrong} of ${rows.length}`,
      said === 'ok ok scan wholeIndex ok unknown' && wrong === 4,
    );
  });

  await story.scene('A gate that a product can copy', async () => {
    story.code('src/gate.ts', { from: 'const summary = explainSummary(', to: 'return summary;' });
    const passed = await outcome(assertIndexed(users.find({ name: '张三' }), { index: 'name_1' }));
    const { error } = await outcome(assertIndexed(users.find({ gender: '女', name: { $ne: '张三' } })));
    if (error instanceof NotIndexedError) for (const reason of error.reasons) story.say(`refused: ${reason}`);
    story.verdict(
      'The query with an index passes; the one without fails its test, and says why',
      `${passed.value?.verdict}, then ${error instanceof Error ? error.name : 'nothing'}`,
      passed.value?.verdict === 'ok' && error instanceof NotIndexedError,
    );
    const filter = { gender: '男', age: { $gte: 60 } };
    const fields = [...indexFor(filter, { at: -1 })].map(([field, way]) => `${field}: ${way}`).join(', ');
    story.verdict(
      'The index for "men from 60 on, the newest first": equality, sort, range',
      `{ ${fields} }`,
      fields === 'gender: 1, at: -1, age: 1',
    );
  });

  await (mongo.standIn === undefined
    ? story.scene('Sorted, covered, hidden: on a mongod', async () => {
        const page = () => users.find({ gender: '男', age: { $gte: 60 } }).sort({ at: -1 });
        const range = await users.createIndex({ gender: 1, age: 1, at: -1 });
        const sort = await users.createIndex(indexFor({ gender: '男', age: { $gte: 60 } }, { at: -1 }));
        const sorts = [await summaryOf(page().hint(range)), await summaryOf(page().hint(sort))].map(
          (it) => it.memorySort,
        );
        story.verdict(
          'Range before sort sorts in memory, sort before range does not',
          sorts.join(),
          sorts.join() === 'true,false',
        );
        const covered = await summaryOf(users.find({ name: '张三' }).project({ _id: 0, name: 1 }));
        story.verdict('Without _id the index answers alone', `${covered.docs} documents opened`, covered.covered);
        const all = await summaryOf(users.find({ name: /张/ }));
        story.verdict('/张/ reads every key', `${all.keys} keys, ${all.verdict}`, all.verdict === 'wholeIndex');
        await client.db().command({ collMod: 'users', index: { name: 'name_1', hidden: true } });
        const hidden = await summaryOf(users.find({ name: '张三' }));
        story.verdict('A hidden index is there, and serves nobody', hidden.verdict, hidden.verdict === 'scan');
      })
    : story.skip(
        'Sorted, covered, hidden: on a mongod',
        'cannot be shown on a stand-in: it sorts in memory, opens documents and asks hidden indexes whatever they are',
      ));
});
