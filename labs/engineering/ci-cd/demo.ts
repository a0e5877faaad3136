// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what GitHub calls an expression
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { tell } from '@shared/story';
import { runWorkflow as copied } from './pitfalls/dirty-copy.ts';
import { canary as unchecked } from './pitfalls/no-traffic-is-healthy.ts';
import { canary as anyRate } from './pitfalls/rate-of-a-few.ts';
import { canary, fileStore, lintWorkflow, type Rollout, type RunReport, runWorkflow } from './src/index.ts';
import { newProject } from './test/project.ts';
import { openShop } from './test/shop.ts';

const options = {
  title: 'CI/CD 流水线',
  subtitle: 'The bakery: a kitchen that tastes what it sells, and a new recipe for one table first',
  dir: import.meta.dirname,
};
const SHA = '11bd71901bbe5b1630ceea73d27597364c9af683';
const FILE = '.github/workflows/ci.yml';
const workflow = (test: string, rest = '') => `name: ci
on: pull_request
permissions: { contents: read }
jobs:
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@${SHA}
${test.replace(/^/gm, '      ')}
${rest}`;
const TEST = `import { test } from 'node:test';
import { equal } from 'node:assert/strict';
import { price } from './price.js';
test('three tarts cost 9.00', () => equal(price(3), 900));
`;
const red = (log: string) => Number(/(?:#|ℹ) fail (\d+)/.exec(log)?.[1] ?? Number.NaN);
const logOf = ({ jobs }: RunReport) => jobs.flatMap((job) => job.steps.map(({ log }) => log)).join('');
await tell(options, async (story) => {
  using project = newProject();
  const folder = mkdtempSync(join(tmpdir(), 'ci-cd-'));
  using _ = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  // Cents, and one of them too many: the planted fault.
  project.commit({
    'package.json': '{"type":"module"}',
    'price.js': 'export const price = (tarts) => tarts * 300 + 1;\n',
    'price.test.js': TEST,
  });
  const runCi = async (text: string, more: object = {}) => {
    project.commit({ [FILE]: text });
    const ref = project.git('rev-parse', 'HEAD').trim();
    return runWorkflow({ repository: project.folder, ref, ...more });
  };

  await story.scene('Green, and red underneath', async () => {
    story.say(
      'A tart costs 3.00, and the till takes 9.01 for three. **The test says so**. Five ways to write its step:',
    );
    const ways: [string, string][] = [
      ['npm test || true', '- run: node price.test.js || true'],
      ['npm test | tee log', '- run: node price.test.js | tee log'],
      ['continue-on-error: true', '- run: node price.test.js\n  continue-on-error: true'],
      ['shell: bash, | tee log', '- shell: bash\n  run: node price.test.js | tee log'],
      ['npm test', '- run: node price.test.js'],
    ];
    const rows = await Promise.all(
      ways.map(async ([name, step]) => {
        const text = workflow(step);
        const [report, findings] = await Promise.all([runCi(text), lintWorkflow(text)]);
        const policy = findings.map(({ rule }) => rule);
        return { name, policy, failing: red(logOf(report)), conclusion: report.conclusion };
      }),
    );
    story.table({
      columns: ['the step', 'tests that fail', 'the run is', 'the policy says'],
      rows: rows.map((row) => [row.name, row.failing, row.conclusion, row.policy.join(' ') || 'nothing']),
    });
    const green = rows.filter(({ conclusion, failing }) => conclusion === 'success' && failing > 0);
    story.verdict(
      'Three of the five are green over a red test',
      `${green.length} green, ${rows.filter(({ failing }) => failing === 1).length} of 5 logs have the failure`,
      green.length === 3,
    );
    story.verdict(
      'The policy names those three, and no other',
      `${rows.filter(({ policy }) => policy.includes('swallowed-failure')).length} findings`,
      rows.every((row) => row.policy.includes('swallowed-failure') === (row.conclusion === 'success')),
    );
    story.code('src/rules.ts', { from: 'shell(shell, file) {', to: '-eo' });
  });

  await story.scene('The kitchen of somebody else', async () => {
    story.say(
      'The fault is mended, and a new file helps: `vat.js`. The tests are green on this machine, and the file was **never committed**.',
    );
    project.commit({
      'price.js': "import { vat } from './vat.js';\nexport const price = (tarts) => vat(tarts * 300);\n",
      [FILE]: workflow('- run: node price.test.js'),
    });
    project.write({ 'vat.js': 'export const vat = (cents) => cents;\n' });
    const repository = project.folder;
    const [dirty, clean] = await Promise.all([copied({ repository }), runWorkflow({ repository })]);
    story.verdict('In a copy of the working folder the run is green', dirty.conclusion, dirty.conclusion === 'success');
    story.verdict(
      'In a clean clone it is red, and the report names the file',
      `${clean.conclusion}; not seen: ${clean.uncommitted.join(', ')}`,
      clean.conclusion === 'failure' && clean.uncommitted.includes('vat.js'),
    );
    project.commit({});
    const cache = join(folder, 'cache');
    const step = (key: string) =>
      workflow(
        `- env: { KEY: "${key}" }\n  run: |\n    mkdir -p ${cache}\n    [ -d ${cache}/$KEY ] || { echo installing; mkdir ${cache}/$KEY; cp lock.json ${cache}/$KEY; }\n    cmp lock.json ${cache}/$KEY/lock.json`,
      );
    const outcomes = [];
    for (const key of ['${{ runner.os }}', "${{ runner.os }}-${{ hashFiles('lock.json') }}"]) {
      project.commit({ 'lock.json': '{"flour":"1.0.0"}' });
      await runCi(step(key));
      project.commit({ 'lock.json': `{"flour":"2.0.0","for":"${key.length}"}` });
      outcomes.push((await runCi(step(key))).conclusion);
    }
    story.say(
      'A cache lies when its key does not know what it was made of: flour 2.0.0 is in the lockfile, 1.0.0 in the cache.',
    );
    story.verdict(
      'With `runner.os` as the key the old flour is baked; with hashFiles() it is not',
      `the second run installs the locked version: ${outcomes.map((end) => (end === 'success' ? 'yes' : 'no')).join(', ')}`,
      outcomes.join() === 'failure,success',
    );
  });

  await story.scene('A title that is a command', async () => {
    const title = 'new tart"; echo "the key is $KEY" > stolen; echo "';
    const greet = (how: string) => workflow(`- env: { KEY: "\${{ secrets.KEY }}"${how} }`);
    const inline =
      greet('').replace(/$/m, '$&') +
      `        run: |\n          echo "\${{ github.event.pull_request.title }}"\n          test ! -e stolen\n`;
    const byEnv = `${greet(', TITLE: "${{ github.event.pull_request.title }}"')}        run: |\n          echo "$TITLE"\n          test ! -e stolen\n`;
    const event = { github: { event: { pull_request: { title } } }, secrets: { KEY: 'hunter2' } };
    const rows = [];
    for (const text of [inline, byEnv]) {
      const report = await runCi(text, event);
      rows.push({
        stolen: report.conclusion === 'failure',
        rules: (await lintWorkflow(text)).map(({ rule }) => rule),
        leaks: logOf(report).includes('hunter2'),
      });
    }
    story.say(`A pull request has this title: \`${title}\``);
    const [within, env] = rows;
    story.verdict(
      'Put into the script, it runs',
      within?.stolen ? 'a file with the key was written' : 'nothing happened',
      within?.stolen === true,
    );
    story.verdict(
      'Handed over in env, it is a title',
      env?.stolen ? 'it ran' : 'it was printed',
      env?.stolen === false,
    );
    story.verdict(
      'Our rule and actionlint name the first, and nobody the second',
      `${within?.rules.join(', ')}; ${env?.rules.length} findings`,
      within?.rules.join() === 'script-injection,actionlint/expression' && env?.rules.length === 0,
    );
  });

  await story.scene('A pipeline, job by job', async () => {
    const report = await runCi(
      `on: push\njobs:\n  lint: { runs-on: x, steps: [{ run: sleep 0.1 }] }\n` +
        `  test:\n    runs-on: x\n    strategy: { fail-fast: false, matrix: { node: [22, 24] } }\n    steps: [{ run: "sleep 0.2; exit \${{ matrix.node == 22 && 1 || 0 }}" }]\n` +
        `  scan: { runs-on: x, needs: lint, steps: [{ uses: github/codeql-action/analyze@v3 }, { run: sleep 0.1 }] }\n` +
        `  deploy: { runs-on: x, needs: [test, scan], steps: [{ run: echo deployed }] }\n` +
        `  report: { runs-on: x, needs: [deploy, test], if: always(), steps: [{ run: sleep 0.1 }] }\n`,
    );
    const tone = { success: 'good', failure: 'bad' } as const;
    story.timeline({
      title: 'Which job ran when',
      unit: 'ms',
      lanes: report.jobs.map(({ name, conclusion, from, to }) => ({
        label: `${name}: ${conclusion}`,
        spans:
          to - from < 5
            ? []
            : [
                {
                  from,
                  to,
                  tone: conclusion === 'success' || conclusion === 'failure' ? tone[conclusion] : ('warn' as const),
                },
              ],
      })),
    });
    const of = (id: string) => report.jobs.find((job) => job.name === id)?.conclusion;
    story.verdict(
      'Node 22 is red, so nothing is deployed, and the report is written all the same',
      `deploy ${of('deploy')}, report ${of('report')}`,
      of('deploy') === 'skipped' && of('report') === 'success',
    );
    story.verdict(
      'An action that can not run here is no pass',
      `scan ${of('scan')}: ${report.notExecuted.join(', ')}`,
      of('scan') === 'incomplete',
    );
  });

  await story.scene('One table first', async () => {
    story.say(
      'The bakery has a new recipe. All guests get it, or **one table of twenty** first, then five, then all. Three processes: the old version, the new one, a proxy that shares the guests out.',
    );
    const serve = async (share: number, use: typeof canary | undefined, more: object = {}) => {
      using shop = await openShop({ stable: 0.002, canary: share });
      const gone = new AbortController();
      let [asked, failures] = [0, 0];
      const points: [number, number][] = [];
      const start = performance.now();
      if (!use) await shop.setWeight(100);
      const guests = shop.guests(gone.signal, ({ status }) => {
        asked++;
        if (status >= 500) failures++;
      });
      const setWeight = async (percent: number) => {
        const last = points.at(-1)?.[1] ?? 0;
        await shop.setWeight(percent);
        points.push([performance.now() - start, last], [performance.now() - start, percent]);
      };
      let rollout: Rollout | undefined;
      if (use)
        rollout = await use({
          release: 'v2',
          steps: [5, 25, 100],
          setWeight,
          measure: shop.measure,
          store: fileStore(join(folder, `state-${performance.now()}`)),
          minRequests: 20,
          intervalMs: 15,
          stepTimeoutMs: 20_000,
          ...more,
        });
      // So many guests that what they met is no accident, on a busy machine too.
      else while (asked < 200) await delay(20);
      const { weight } = await shop.counts();
      gone.abort();
      await guests;
      return { asked, failures, rollout, points, weight, ms: performance.now() - start };
    };
    const [all, bad, good] = await Promise.all([serve(0.4, undefined), serve(0.4, canary), serve(0.002, canary)]);
    story.verdict(
      'All at once: four of ten guests get an error, until somebody looks',
      `${all.failures} of ${all.asked} in ${all.ms.toFixed(0)} ms`,
      all.failures > all.asked * 0.3,
    );
    story.verdict(
      'A canary takes itself back',
      `${bad.failures} of ${bad.asked} guests; ${bad.rollout?.reason}`,
      bad.rollout?.outcome === 'rolled-back' && bad.weight === 0 && bad.failures < bad.asked * 0.1,
    );
    story.verdict(
      'A good one gets all the guests',
      `${good.rollout?.outcome}, ${good.failures} of ${good.asked} failed, as before`,
      good.rollout?.outcome === 'promoted' && good.weight === 100,
    );
    story.lines({
      title: 'The share of the guests that the new version has',
      x: { label: 'time', unit: 'ms' },
      y: { label: 'weight', unit: '%' },
      series: [
        { label: 'good', points: good.points, tone: 'good' },
        { label: 'bad', points: bad.points, tone: 'bad' },
      ],
      picture: true,
    });
    story.code('src/rules.ts', { from: 'judge(canary, stable, limits) {', to: 'healthy' });
  });

  await story.scene('Who serves nobody makes no mistakes', async () => {
    const nobody = { canary: { requests: 0, errors: 0 }, stable: { requests: 0, errors: 0 } };
    let look = 0;
    // A good version, and a single accident in the first handful of requests.
    const unlucky = async () => {
      const requests = 5 * look++;
      return { canary: { requests, errors: Math.min(look - 1, 1) }, stable: { requests: 19 * requests, errors: 0 } };
    };
    const roll = async (use: typeof canary, measure: () => Promise<typeof nobody>) => {
      look = 0;
      const store = fileStore(join(folder, `state-${performance.now()}`));
      return (
        await use({
          release: 'v2',
          steps: [5, 100],
          setWeight: async () => {},
          measure,
          store,
          minRequests: 50,
          intervalMs: 2,
          stepTimeoutMs: 300,
        })
      ).outcome;
    };
    const rows = [
      ['nobody comes', await roll(unchecked, async () => nobody), await roll(canary, async () => nobody)],
      ['1 of the first 5 fails', await roll(anyRate, unlucky), await roll(canary, unlucky)],
    ];
    story.table({ columns: ['', 'by the rate', 'by enough requests'], rows });
    story.verdict(
      'A rate without its number of requests promotes the unknown and condemns the unlucky',
      rows.map((row) => row[1]).join(', '),
      rows[0]?.[1] === 'promoted' && rows[1]?.[1] === 'rolled-back',
    );
    story.verdict(
      'Enough requests decide the other way, both times',
      rows.map((row) => row[2]).join(', '),
      rows[0]?.[2] === 'rolled-back' && rows[1]?.[2] === 'promoted',
    );
  });
  story.next(['`pnpm lab learn ci-cd` to write the rules yourself']);
});
