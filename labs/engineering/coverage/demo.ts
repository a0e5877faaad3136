import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startFolder } from '@shared/services';
import { tell } from '@shared/story';
import { raiseFloor as lastWriterWins } from './pitfalls/last-writer-wins.ts';
import { diffCoverage as reportOnly } from './pitfalls/unloaded-is-absent.ts';
import {
  type Coverage,
  describeMissing,
  diffCoverage,
  hundredths,
  mergeCoverage,
  missingTests,
  mutationScore,
  parseDiff,
  parseLcov,
  percent,
  raiseFloor,
  readFloor,
  readMutants,
  type Share,
} from './src/index.ts';
import { oneSuite } from './test/one-suite.ts';
import { after, before, rule } from './test/shop.ts';
import { gitDiff, project, stryker, vitest } from './test/workshop.ts';

/** Of all lines that the report knows. */
const total = (coverage: Coverage): Share => {
  const hits = [...coverage.values()].flatMap((lines) => [...lines.values()]);
  return { covered: hits.filter((hit) => hit > 0).length, total: hits.length };
};
/** A figure of the report's own: BRF branches found, BRH hit. */
const sumOf = (lcov: string, figure: string) =>
  [...lcov.matchAll(new RegExp(`^${figure}:(\\d+)$`, 'gm'))].reduce((sum, [, count]) => sum + Number(count), 0);
/** What a report says of one file. */
const recordOf = (lcov: string, path: string) =>
  lcov
    .split(/(?<=end_of_record\n)/)
    .filter((record) => record.includes(`SF:${path}\n`))
    .join('');
const of = ({ covered, total }: Share) => `${covered} of ${total}`;
const value = (share: Share) => (hundredths(share) ?? 0) / 100;

const options = {
  title: 'Coverage 单元测试覆盖率',
  subtitle: 'The night watchman of a department store: which rooms he walks through, and what he would notice there',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  await using folder = await startFolder('coverage');
  const place = async (name: string) => {
    const path = join(folder.path, name);
    await mkdir(path);
    return path;
  };
  // Stryker takes as long as all the other runs together: it has one core, they have the other.
  const mutated = project(await place('rule'), rule).then(stryker);
  mutated.catch(() => {});
  const old = project(await place('before'), before).then(vitest);
  const others = old.then(async () => {
    const path = await project(await place('after'), after);
    const shards = [await vitest(path, '--shard=1/2'), await vitest(path, '--shard=2/2'), await vitest(path)];
    return [await gitDiff(await place('repository'), before, after), shards] as const;
  });
  others.catch(() => {});

  await story.scene('The watchman has been in every room', async () => {
    story.say(
      'A rule for discounts has three tests. The watchman is the suite: coverage is the list of rooms that he walked ' +
        'through. Then eight burglars are let in, each a small change to the rule. Does he notice?',
    );
    const lcov = recordOf(await old, 'src/price.ts');
    const lines = total(parseLcov(lcov));
    const report = JSON.parse(await mutated);
    const mutants = readMutants(JSON.stringify(oneSuite(report, 'test/walk.test.ts')));
    const score = mutationScore(mutants);
    const alive = mutants.filter(({ status }) => status === 'Survived');
    const all = (what: string) => of({ covered: sumOf(lcov, `${what}H`), total: sumOf(lcov, `${what}F`) });
    story.table({
      columns: ['measured by', 'what it counts', 'of the same three tests'],
      rows: [
        ['Vitest with V8', 'lines that ran', `${of(lines)}, ${percent(lines)}`],
        ['', 'branches, functions', `${all('BR')}, ${all('FN')}`],
        ['Stryker', 'changes noticed', `${of(score)}, ${percent(score)}`],
      ],
    });
    story.verdict(
      'Everything is covered, and most of it may change',
      `${alive.length} of ${score.total} changes stay`,
      lines.covered === lines.total && alive.length > score.total / 2,
    );
  });

  await story.scene('A survivor is a test that is missing', async () => {
    const report = JSON.parse(await mutated);
    const [walked, looked] = ['walk', 'look'].map((name) =>
      readMutants(JSON.stringify(oneSuite(report, `test/${name}.test.ts`))),
    );
    if (!walked || !looked) return;
    const asked = missingTests(walked);
    story.say('Five survivors, on three lines: what is missing is three tests. Of the second line:');
    story.say(
      describeMissing({ ...asked, missing: asked.missing.slice(1, 2) })
        .split('\n')
        .map((line) => `- ${line.trim()}`)
        .join('\n'),
    );
    story.say(
      'So the next suite looks: at what a member pays, at 99.99 and at 100.00, at an order of less than nothing.',
    );
    const left = missingTests(looked).missing;
    const judged = missingTests(looked, [
      {
        path: 'src/price.ts',
        code: 'return due < 0 ? 0 : due;',
        original: 'due < 0',
        replacement: 'due <= 0',
        reason: 'an order of nothing comes to nothing either way',
      },
    ]);
    story.bars({
      title: 'Changes noticed, of 8, with the same lines covered',
      unit: '%',
      items: [
        { label: 'three tests that walk', value: value(mutationScore(walked)), tone: 'bad' },
        { label: 'four tests that look', value: value(mutationScore(looked)), tone: 'good' },
      ],
      picture: true,
    });
    story.verdict(
      'The tests that were asked for notice all but one',
      `${of(mutationScore(looked))}`,
      left.length === 1,
    );
    story.verdict(
      'The one is `due <= 0`: no test can tell. It is excused, with a reason, until its line changes',
      `${judged.missing.length} left, ${judged.excused.length} excused`,
      judged.missing.length === 0 && judged.excused.length === 1,
    );
  });

  const [diff, shards] = await others;
  const [one, two, whole] = shards.map((lcov) => parseLcov(lcov));
  if (!one || !two || !whole) throw new Error('a shard gave no report');

  if (diff === undefined) story.skip('A pull request', 'there is no git here to make its diff');
  else
    await story.scene('A pull request that raises the total', async () => {
      story.say(
        'It adds six labels, which any import covers, renames the receipts and adds a case to them, and adds refunds, which ' +
          'no test imports. The total rises.',
      );
      const changes = parseDiff(diff);
      const honest = diffCoverage(whole, changes);
      const naive = reportOnly(whole, changes);
      const [was, is] = [total(parseLcov(await old)), total(whole)];
      story.table({
        columns: ['file', 'changed lines covered', 'not covered'],
        rows: honest.files.map((file) => [
          file.loaded ? file.path : `${file.path} (never loaded)`,
          String(file.covered.length),
          file.missed.length === 0 ? '–' : `lines ${file.missed.join(', ')}`,
        ]),
      });
      story.verdict('The total goes up', `${percent(was)} → ${percent(is)}`, value(is) > value(was));
      story.verdict(
        'Of the lines that were changed, not even two thirds ran',
        `${of(honest)}, ${percent(honest)}`,
        value(honest) < 66.67,
      );
      story.verdict(
        'Who asks the report alone does not see the file that nobody loads',
        `${of(naive)}, ${percent(naive)}`,
        value(naive) > value(honest),
      );
    });

  await story.scene('Two shards, one figure', async () => {
    const merged = mergeCoverage([one, two]);
    const average = (value(total(one)) + value(total(two))) / 2;
    story.table({
      columns: ['report', 'lines covered', ''],
      rows: [
        ['shard 1 of 2', of(total(one)), percent(total(one))],
        ['shard 2 of 2', of(total(two)), percent(total(two))],
        ['their average', '', `${average.toFixed(2)} %`],
        ['merged, line by line', of(total(merged)), percent(total(merged))],
        ['one run of all tests', of(total(whole)), percent(total(whole))],
      ],
    });
    const same = percent(total(merged)) === percent(total(whole)) && of(total(merged)) === of(total(whole));
    story.verdict(
      'Merged shards are the whole run; an average is not',
      `${percent(total(merged))}, not ${average.toFixed(2)} %`,
      same && Math.abs(average - value(total(whole))) > 0.01,
    );
  });

  await story.scene('A ratchet has teeth', async () => {
    story.say('The floor may rise and not fall. Two runs end at once, one at 85 % and one at 40 %; 40 times over.');
    const path = await place('floor');
    const rounds = async (raise: typeof raiseFloor, name: string) => {
      let lost = 0;
      for (let round = 0; round < 40; round++) {
        const file = join(path, `${name}-${round}`);
        const lines = (covered: number) => ({ lines: { covered, total: 100 } });
        await raise(file, lines(10));
        await Promise.all([raise(file, lines(85)), raise(file, lines(40))]);
        if ((await readFloor(file)).get('lines') !== 8_500) lost++;
      }
      return lost;
    };
    const [careless, careful] = [await rounds(lastWriterWins, 'whole'), await rounds(raiseFloor, 'added')];
    story.verdict('Read, compare, write: the later writer lowers the floor', `${careless} of 40`, careless > 0);
    story.code('src/floor-file.ts', { from: 'await appendFile' });
    story.verdict('A line for each rise, and the highest counts: nobody overwrites', `${careful} of 40`, careful === 0);
  });
  story.next(['`pnpm lab learn coverage` to build it yourself']);
});
