import { needsMongod, type RunOptions, type SuiteResult } from '@shared/testkit';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { core } from '../../src/check/core.ts';
import { type Demos, demoRuns } from '../../src/check/demo-runs.ts';
import { demos } from '../../src/check/demos.ts';
import { grading } from '../../src/check/grading.ts';
import { gradings } from '../../src/check/gradings.ts';
import { findLabs } from '../../src/labs.ts';
import { at, edited, findingsWith, gradedBy, laws, Repo } from './fixture.ts';

const [law = ''] = laws;
const passing: SuiteResult = {
  ok: true,
  tests: laws.map((name) => ({ name, path: [], file: 'test/counter.test.ts', state: 'passed', ms: 1 })),
  problems: [],
  missing: [],
  ms: 1,
};
/** Every law fails, or the one that is named. */
const failing = (error: string, only?: string): SuiteResult => ({
  ...passing,
  ok: false,
  tests: passing.tests.map((each) =>
    only === undefined || each.name === only ? { ...each, state: 'failed', error } : each,
  ),
});

afterEach(() => vi.unstubAllEnvs());

describe('grading', () => {
  test('passes a suite that accepts the reference alone', { timeout: 30_000 }, async () => {
    const findings = await findingsWith(grading, {}, { gradings: gradings(false) });
    // How long it takes, and whether that is too long, is the machine's matter.
    expect(findings.filter(({ severity }) => severity !== 'warning')).toEqual([]);
  });

  /** Answers by the implementation asked for: the reference passes, everything else fails, but for `changes`. */
  const graded = (changes: Readonly<Record<string, SuiteResult>>, files: Record<string, string> = {}) => {
    const asked: RunOptions[] = [];
    const run = async (options: RunOptions) => {
      asked.push(options);
      const impl = options.impl ?? 'src/index.ts';
      return changes[impl] ?? (impl === 'src/index.ts' ? passing : failing('expected 2 to be 1'));
    };
    return findingsWith(grading, files, { gradings: gradedBy(run) }).then((findings) => ({ findings, asked }));
  };

  test('the untouched exercise is run by the core laws, or by all laws where the lab tells none', async () => {
    const onIt = async (files: Record<string, string>) =>
      (await graded({}, files)).asked.find(({ impl }) => impl === 'exercise/index.ts')?.testNames;
    expect(await onIt({})).toEqual(laws);
    const [, second = ''] = laws;
    const hints = edited(at('exercise/hints.md'), `## ${second}`, `# Hardening laws\n\n## ${second}`);
    expect(await onIt(hints)).toEqual([law]);
    expect(await onIt(edited(at('exercise/hints.md'), '# Core laws', '# Hints'))).toBeUndefined();
  });

  test('a reference that has been seen to pass on these very files is not run again, and what it skipped is told', async () => {
    const impls: (string | undefined)[] = [];
    const skipped: SuiteResult = {
      ...passing,
      tests: passing.tests.map((each) => ({ ...each, state: 'skipped', note: needsMongod('why') })),
    };
    await using repo = await Repo.with({});
    const [{ dir } = { dir: '' }] = await findLabs(repo.root, () => undefined);
    const seen = gradings(
      false,
      async () => new Map([[dir, skipped]]),
      () => ({
        run: async ({ impl } = {}) => {
          impls.push(impl);
          return failing('expected 2 to be 1');
        },
        [Symbol.asyncDispose]: async () => {},
      }),
    );
    const found = await repo.findings(grading, { gradings: seen });
    expect(found).toContainEqual(expect.objectContaining({ what: expect.stringContaining('why') }));
    expect(impls).toContain('exercise/index.ts');
    expect(impls).not.toContain(undefined);
  });

  test('a pitfall is run by the very law that its header names, and no other', async () => {
    const { asked } = await graded({});
    const pitfall = asked.find(({ impl }) => impl === 'pitfalls/off-by-one.ts');
    expect(pitfall).toMatchObject({ testNames: [law], files: ['test/counter.test.ts'] });
  });

  const defects: readonly (readonly [name: string, impl: string, result: SuiteResult, what: string, remedy: string])[] =
    [
      [
        'a reference that fails',
        'src/index.ts',
        failing('expected 1', law),
        `the reference fails "${law}"`,
        'mend the reference or the law',
      ],
      [
        'an exercise that is solved',
        'exercise/index.ts',
        passing,
        'the untouched exercise passes the suite',
        'make the stub throw',
      ],
      [
        'an exercise that hangs',
        'exercise/index.ts',
        failing('hangs: not done after 5000 ms', law),
        `"${law}" hangs on the untouched exercise`,
        'throw at once',
      ],
      [
        'an exercise that does not load',
        'exercise/index.ts',
        { ...failing(''), tests: [], problems: ['no such table'] },
        'the suite breaks on it: no such table',
        'must load, and only a law',
      ],
      [
        'a pitfall whose servers did not start',
        'pitfalls/off-by-one.ts',
        { ...failing(''), tests: [], problems: ['the servers of the suite did not start: no room'] },
        'the servers of the suite did not start: no room',
        'a pitfall has one flaw',
      ],
      [
        'a pitfall that passes',
        'pitfalls/off-by-one.ts',
        passing,
        `"${law}" lets this pitfall pass`,
        'strengthen the law',
      ],
      [
        'a pitfall that does not load',
        'pitfalls/off-by-one.ts',
        { ...failing(''), tests: [], problems: ['bad import'] },
        'breaks outside the law',
        'by its behaviour',
      ],
    ];
  test.each(defects)('%s is found, with its remedy', async (_name, impl, result, what, remedy) => {
    const { findings } = await graded({ [impl]: result });
    expect(findings).toEqual([
      { where: at(impl), what: expect.stringContaining(what), remedy: expect.stringContaining(remedy) },
    ]);
  });

  const skipping = (note?: string): SuiteResult => ({
    ...passing,
    tests: passing.tests.map((each) =>
      each.name === law ? { ...each, state: 'skipped', ...(note === undefined ? {} : { note }) } : each,
    ),
  });

  test('a law that is skipped without a reason is found', async () => {
    const { findings } = await graded({ 'src/index.ts': skipping() });
    expect(findings).toEqual([
      {
        where: at('test'),
        what: `"${law}" is skipped: it is marked so in the suite`,
        remedy: 'a law is true or it is not: run it, or remove it',
        severity: 'error',
      },
    ]);
  });

  test('laws that no mongod has seen yet are counted in package.json, until one has', async () => {
    const reference = skipping(needsMongod('it elects a leader'));
    const saying = (unproven: number) =>
      edited(at('package.json'), '"services": []', `"services": [],\n    "unproven": ${unproven}`);
    const found = async (result: SuiteResult, files: Record<string, string>) =>
      (await graded({ 'src/index.ts': result }, files)).findings.filter(({ where }) => where === at('package.json'));
    expect(await found(reference, saying(1))).toEqual([]);
    expect(await found(reference, saying(2))).toMatchObject([{ what: '1 laws need a mongod, and it says 2' }]);
    expect(await found(reference, {})).toMatchObject([{ remedy: 'write "lab": { "unproven": 1 }' }]);
    expect(await found(passing, saying(2))).toMatchObject([{ severity: 'warning' }]);
  });

  test('a law that cannot run here is a warning, and a failure where all servers must be; its pitfall waits', async () => {
    const results = { 'src/index.ts': skipping('no faults'), 'pitfalls/off-by-one.ts': skipping('no faults') };
    vi.stubEnv('LABS_REQUIRE', '');
    expect((await graded(results)).findings).toMatchObject([{ severity: 'warning' }]);
    vi.stubEnv('LABS_REQUIRE', 'all');
    expect((await graded(results)).findings).toMatchObject([{ severity: 'error' }]);
  });

  test('grading that takes too long is a warning that names the slow laws', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const slow = {
        ...passing,
        ms: 4000,
        tests: passing.tests.map((each, i) => ({ ...each, ms: i === 0 ? 1700 : 10 })),
      };
      const run = async ({ impl }: RunOptions) => {
        if (impl === undefined) vi.advanceTimersByTime(10_100);
        return impl === undefined ? slow : failing('expected 2 to be 1');
      };
      expect(await findingsWith(grading, {}, { gradings: gradedBy(run) })).toEqual([
        {
          where: at('').replace(/\/$/, ''),
          what: `grading takes 10.1 s, 4.0 s of them for the suite on the reference, and 10 s are the limit\n1.7 s  "${law}"`,
          remedy: 'make the slow laws quicker',
          severity: 'warning',
        },
      ]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('nothing is measured against a reference that fails: its pitfalls are ended', async () => {
    const ended: boolean[] = [];
    const run = async ({ impl, signal }: RunOptions) => {
      if (impl === undefined) return failing('expected 1', law);
      if (impl.startsWith('pitfalls/')) {
        await new Promise((done) => signal?.addEventListener('abort', done));
        ended.push(true);
        throw signal?.reason;
      }
      return failing('no');
    };
    expect(await findingsWith(grading, {}, { gradings: gradedBy(run) })).toHaveLength(1);
    expect(ended.length).toBeGreaterThan(0);
  });

  test('a pitfall that names no law is found', async () => {
    const { findings } = await graded({}, edited(at('pitfalls/off-by-one.ts'), 'by one', 'by two'));
    expect(findings).toMatchObject([{ what: 'no law is called "a counter counts up by two"' }]);
  });

  test('a missing server is a warning here, and a failure where all servers must be', async () => {
    const missing: SuiteResult = { ...passing, missing: ['no redis-server'] };
    vi.stubEnv('LABS_REQUIRE', '');
    expect((await graded({ 'src/index.ts': missing })).findings).toMatchObject([{ severity: 'warning' }]);
    vi.stubEnv('LABS_REQUIRE', 'all');
    expect((await graded({ 'src/index.ts': missing })).findings).toMatchObject([{ severity: 'error' }]);
  });
});

describe('core', () => {
  /** What the gate finds when the untouched exercise passes these laws. */
  const untouched = (passed: readonly string[], changes: Record<string, string> = {}) => {
    const tests = [
      ...failing('not written').tests,
      { name: 'other', path: [], file: '', state: 'failed', ms: 0 } as const,
    ];
    const result: SuiteResult = {
      ...failing(''),
      tests: tests.map((each) => (passed.includes(each.name) ? { ...each, state: 'passed' } : each)),
    };
    return findingsWith(core, changes, { gradings: gradedBy(async () => result) });
  };
  const where = at('exercise/index.ts');

  test('passes an exercise that fails every core law', { timeout: 30_000 }, async () => {
    expect(await findingsWith(core, {}, { gradings: gradings(false) })).toEqual([]);
  });

  test('the first core law must fail on the untouched exercise, the others should', async () => {
    const [first = '', second = ''] = laws;
    expect(await untouched([first, second])).toEqual([
      {
        where,
        what: `"${first}" holds although nothing has been written`,
        remedy: expect.stringContaining('it is where a learner begins'),
      },
      {
        where,
        what: `"${second}" holds although nothing has been written`,
        remedy: 'let the law also assert what only a working implementation does',
        severity: 'warning',
      },
    ]);
  });

  test('a hardening law may hold on it; one of a lab that tells no core laws is listed', async () => {
    expect(await untouched(['other'])).toEqual([]);
    const untold = edited(at('exercise/hints.md'), '# Core laws', '# Hints');
    expect(await untouched(['other'], untold)).toMatchObject([
      { what: expect.stringContaining('other'), severity: 'warning' },
    ]);
  });

  test('types are given with the task, so laws about them may hold', async () => {
    const tests = failing('').tests.map((each) =>
      each.name === laws[1] ? ({ ...each, state: 'passed', file: 'test/types.test-d.ts' } as const) : each,
    );
    expect(await findingsWith(core, {}, { gradings: gradedBy(async () => ({ ...failing(''), tests })) })).toEqual([]);
  });

  test('is silent where a server is missing, or where the suite breaks: the grading tells', async () => {
    for (const more of [{ missing: ['no redis-server'] }, { problems: ['boom'] }]) {
      expect(await findingsWith(core, {}, { gradings: gradedBy(async () => ({ ...passing, ...more })) })).toEqual([]);
    }
  });

  test('the runs of one lab are made once for all gates', async () => {
    let runs = 0;
    const once = gradedBy(async () => {
      runs += 1;
      return failing('');
    });
    await using repo = await Repo.with();
    await repo.findings(grading, { gradings: once });
    const before = runs;
    await repo.findings(core, { gradings: once });
    await repo.findings(grading, { gradings: once });
    expect([before > 1, runs - before]).toEqual([true, 0]);
  });
});

describe('demos', () => {
  test('a demo whose verdicts hold passes', async () => {
    expect(await findingsWith(demos, {}, { demos: demoRuns() })).toEqual([]);
  });

  const demo = at('demo.ts');
  const defects: readonly (readonly [
    name: string,
    changes: Record<string, string>,
    where: string,
    what: string,
    remedy: string,
  ])[] = [
    [
      'a verdict that does not hold',
      edited(demo, 'count === 1', 'count === 2'),
      demo,
      'does not hold: the first count is one (1)',
      'mend the claim',
    ],
    [
      'a demo that throws',
      edited(demo, 'story.verdict', "throw new Error('no route');\n    story.verdict"),
      demo,
      'no route',
      'run it by hand',
    ],
    [
      'a demo that writes over its events',
      edited(
        demo,
        'const count',
        "console.info = () => undefined;\n    process.stdout.write('hello\\n');\n    const count",
      ),
      demo,
      'holds events alone',
      'run it by hand',
    ],
    [
      'an example that fails',
      { [at('examples/more.ts')]: 'process.exitCode = 1;\n' },
      at('examples/more.ts'),
      'exit code 1',
      'run it by hand',
    ],
    ['a demo that does not end', { [demo]: 'setInterval(() => undefined, 1000);\n' }, demo, 'does not end', 'a timer'],
  ];
  test.concurrent.each(defects)('%s is found, with its remedy', async (_name, changes, where, what, remedy) => {
    const findings = await findingsWith(demos, changes, { demos: demoRuns({ timeoutMs: 2000 }) });
    expect(findings).toEqual([{ where, what: expect.stringContaining(what), remedy: expect.stringContaining(remedy) }]);
  });

  test('a demo that takes too long is a warning, however slow the machine, unless the lab says why', async () => {
    const told = (ms: number): Demos => ({
      of: async () => [{ file: 'demo.ts', events: [], ms, inCompany: false, outcome: 'told', evidence: '' }],
      together: async () => {},
      known: new Map(),
    });
    const finding = { where: demo, remedy: expect.stringContaining('measure less') };
    expect(await findingsWith(demos, {}, { demos: told(12_000) })).toEqual([]);
    expect(await findingsWith(demos, {}, { demos: told(12_100) })).toEqual([
      { ...finding, what: 'has 12.1 s, and 12 s are the budget', severity: 'warning' },
    ]);
    expect(await findingsWith(demos, {}, { demos: told(40_000) })).toEqual([
      { ...finding, what: 'has 40 s, and 12 s are the budget', severity: 'warning' },
    ]);
    const because = edited(
      at('package.json'),
      '"services": []',
      '"services": [],\n    "larger": "it waits for a tide"',
    );
    expect(await findingsWith(demos, because, { demos: told(18_100) })).toEqual([]);
  });

  test('a demo runs once, however many gates look at it', async () => {
    await using repo = await (await import('./fixture.ts')).Repo.with({
      [demo]: "import { appendFileSync } from 'node:fs';\nappendFileSync('ran', 'x');\n",
    });
    const runs = demoRuns();
    await Promise.all([repo.findings(demos, { demos: runs }), repo.findings(demos, { demos: runs })]);
    expect(await repo.read(at('ran'))).toBe('x');
  });

  test('demos are told together, and what goes wrong in company is told once more, alone', async () => {
    // Each meets the other, or leaves; only the shy one fails where it is not alone.
    const meets = (
      me: string,
      other: string,
      shy: boolean,
    ) => `import { existsSync, rmSync, writeFileSync } from 'node:fs';
const [mine, theirs] = [new URL('../../${me}', import.meta.url), new URL('../../${other}', import.meta.url)];
writeFileSync(mine, '');
for (let i = 0; i < 50 && !existsSync(theirs); i++) await new Promise((go) => setTimeout(go, 20));
const met = existsSync(theirs);
if (met) await new Promise((go) => setTimeout(go, 100));
rmSync(mine);
process.stderr.write('met: ' + met);
process.exitCode = met && ${shy} ? 1 : 0;
console.log(JSON.stringify({ type: 'end', scene: 0, at: 1, seed: 1, held: 1, verdicts: 1, skipped: 0, exitCode: 0, outcome: 'told', next: [] }));
`;
    const twin = 'labs/language/twin';
    await using repo = await Repo.with({
      [demo]: meets('a', 'b', true),
      [`${twin}/package.json`]: edited(at('package.json'), '@labs/counter', '@labs/twin')[at('package.json')],
      [`${twin}/demo.ts`]: meets('b', 'a', false),
    });
    const labs = await findLabs(repo.root, () => undefined);
    const told = demoRuns();
    await told.together(labs);
    const runs = await Promise.all(labs.map((lab) => told.of(lab)));
    expect(runs.flat()).toMatchObject([
      { outcome: 'told', inCompany: false, evidence: '' },
      { outcome: 'told', inCompany: true },
    ]);
    expect(await repo.findings(demos, { demos: told })).toEqual([]);
  });

  test('a missing server is a warning here, and a failure where all servers must be', async () => {
    const changes = { [demo]: 'process.exitCode = 3;\n' };
    vi.stubEnv('LABS_REQUIRE', '');
    expect(await findingsWith(demos, changes, { demos: demoRuns() })).toMatchObject([{ severity: 'warning' }]);
    vi.stubEnv('LABS_REQUIRE', 'all');
    expect(await findingsWith(demos, changes, { demos: demoRuns() })).toMatchObject([{ severity: 'error' }]);
  });
});
