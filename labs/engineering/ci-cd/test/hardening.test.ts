// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what GitHub calls an expression
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { data, Evaluator, Lexer, Parser } from '@actions/expressions';
import { outcome, random, until } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import {
  CheckoutError,
  CycleError,
  checkPolicy,
  compile,
  ExpressionError,
  fileStore,
  InvalidArgumentError,
  lintWorkflow,
  parseWorkflow,
  RollbackFailedError,
  type RolloutState,
  runWorkflow,
  type Sample,
  StateConflictError,
  WorkflowError,
  worse,
} from '#lab';
import { newProject } from './project.ts';
import { openShop } from './shop.ts';
import { newStore, newTraffic, QUICK, rollOut } from './traffic.ts';
import { commit, failed, logOf, PATH, project, run, runJobs, steps, tale } from './workflow.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const alive = (pids: string[]) =>
  pids.filter((pid) => existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z'));
const folderOf = (prefix: string) => {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

// ── what is no workflow ─────────────────────────────────────────────────────────────────────────────────────────────

test('what is wrong with a workflow is told with its line, before anything runs', async () => {
  const job = (rest: string) => `on: push\njobs:\n  a:\n    runs-on: x\n    ${rest}`;
  const wrong: [text: string, line: number | undefined, says: string][] = [
    ['a: [', 1, 'no YAML'],
    ['', 1, 'the workflow'],
    [job('need: b\n    steps: [{ run: x }]'), 5, 'need'],
    [job('needs: b\n    steps: [{ run: x }]'), 5, 'needs b'],
    [job('steps:\n      - run: x\n      - run: y\n        uses: z'), 7, 'either run or uses'],
    [job('steps:\n      - run: x\n        id: t\n      - run: y\n        id: T'), 9, 'id T'],
    [job('steps:\n      - run: echo ${{ isMain() }}'), 6, 'no function isMain'],
    [job('steps:\n      - run: x\n        if: varz.A'), 7, 'no context varz'],
    [job('steps:\n      - run: x\n        if: ${{ false }} && true'), 7, 'always true'],
    [job('steps:\n      - run: echo ${{ github.sha'), 6, 'never closed'],
    [job(`steps: [{ run: '${'${{ '.repeat(60_000)}' }]`), 5, 'never closed'],
    ['on: push\njobs:\n  a:\n    steps: [{ run: x }]', 3, 'runs-on'],
    ['on: push\njobs:\n  jobs:\n    runs-on: x\n    steps:\n      - run: x\n        if: jobs', 7, 'no context jobs'],
    [job('timeout-minutes: 0\n    steps: [{ run: x }]'), 5, 'timeout-minutes'],
    ['on: push\njobs:\n  __proto__: { runs-on: x, steps: [{ run: x }] }', 3, '__proto__'],
    ['on: push\njobs:\n  a:\n    runs-on: x', 3, 'either steps or uses'],
    [job('uses: ./b.yml\n    steps: [{ run: x }]'), 3, 'either steps or uses'],
    [job("strategy: { matrix: { on: ['${{ varz.A }}'] } }\n    steps: [{ run: x }]"), 5, 'no context varz'],
    [job('need: b\n    step: []\n    steps: [{ run: x }]'), 5, 'jobs.a.need: '],
    ['on: push\njobs: {}', 2, 'no job'],
    ['on: push\non: pull_request\njobs: {}', 2, 'unique'],
  ];
  for (const [text, line, says] of wrong) {
    const error = await outcome((async () => parseWorkflow(text))()).then((end) => end.error);
    expect(error, text).toBeInstanceOf(WorkflowError);
    expect([error instanceof WorkflowError && error.line, String(error)], text).toEqual([
      line,
      expect.stringContaining(says),
    ]);
  }
  const called = "on: { workflow_call: { outputs: { sha: { value: '${{ jobs.a.outputs.sha }}' } } } }\n";
  expect(() => parseWorkflow(`${called}jobs: { a: { runs-on: x, steps: [{ run: x }] } }`)).not.toThrow();
});

test('jobs that wait for each other are named, however many there are', () => {
  const circle =
    'on: push\njobs:\n  a: { needs: [d], runs-on: x, steps: [{ run: x }] }\n  b: { needs: [d, c], runs-on: x, steps: [{ run: x }] }\n  c: { needs: b, runs-on: x, steps: [{ run: x }] }\n  d: { runs-on: x, steps: [{ run: x }] }';
  expect(() => parseWorkflow(circle)).toThrow(CycleError);
  expect(() => parseWorkflow(circle)).toThrow(
    /^line 4: (?:b needs c needs b|c needs b needs c):|^line 5: c needs b needs c:/,
  );
  const many = Array.from(
    { length: 400 },
    (_, n) => `  j${n}: { needs: [j${(n + 1) % 400}], runs-on: x, steps: [{ run: x }] }`,
  );
  expect(() => parseWorkflow(`on: push\njobs:\n${many.join('\n')}`)).toThrow(CycleError);
  expect(() => parseWorkflow(circle.replace('[d, c]', '[d]'))).not.toThrow();
});

// ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────────────

const MATRIX = {
  n: 3,
  zero: 0,
  text: 'Tart',
  flag: true,
  off: false,
  none: null,
  list: [1, 'b', null],
  jobs: { a: { result: 'success' }, b: { result: 'failure' }, c: {} },
};

test("an expression is worth what GitHub's own evaluator makes of it", () => {
  const toData = (value: unknown): InstanceType<typeof data.Dictionary> | ReturnType<typeof Object> =>
    JSON.parse(JSON.stringify({ value }), data.reviver).get('value');
  const oracle = (source: string) => {
    const { tokens } = new Lexer(source).lex();
    const result = new Evaluator(
      new Parser(tokens, ['matrix'], []).parse(),
      new data.Dictionary({ key: 'matrix', value: toData(MATRIX) }),
    ).evaluate();
    return JSON.stringify(result, data.replacer);
  };
  const { pick, int } = random(SEED);
  const leaf = () =>
    pick([
      '1',
      '0',
      '-2.5',
      '0x1F',
      "''",
      "'tart'",
      "'TART'",
      "'1'",
      "'it''s'",
      "' 3 '",
      "'NaN'",
      'true',
      'false',
      'null',
      'matrix.n',
      'matrix.zero',
      'MATRIX.Text',
      'matrix.flag',
      'matrix.off',
      'matrix.none',
      'matrix.list[1]',
      "matrix['list'][0]",
      'matrix.list[7]',
      'matrix.nothing.at.all',
      'matrix.jobs.a.result',
      'matrix.list',
      'matrix.jobs',
    ]);
  const tree = (depth: number): string => {
    if (depth === 0) return leaf();
    const [a, b] = [tree(depth - 1), tree(int(0, depth - 1))];
    return pick([
      `(${a})`,
      `!${leaf()}`,
      `${a} == ${b}`,
      `${a} != ${b}`,
      `${a} && ${b}`,
      `${a} || ${b}`,
      `(${a}) < ${b}`,
      `(${a}) >= (${b})`,
      `(${a}) <= ${b}`,
      `contains(matrix.list, ${b})`,
      `contains(${leaf()}, ${leaf()})`,
      `startsWith(${leaf()}, ${leaf()})`,
      `endsWith(${leaf()}, ${leaf()})`,
      `format('{0} {{}} {1}', ${leaf()}, ${leaf()})`,
      `join(matrix.list, ${leaf()})`,
      `contains(matrix.jobs.*.result, ${leaf()})`,
      `contains(matrix.list.*, ${leaf()})`,
    ]);
  };
  const scope = { contexts: { matrix: MATRIX }, status: 'success', workspace: '' } as const;
  for (let n = 0; n < 1_500; n++) {
    const source = tree(int(0, 3));
    const ours = JSON.stringify(compile(source).evaluate(scope));
    expect(`${source} is ${ours}`).toBe(`${source} is ${oracle(source)}`);
  }
});

test('what is no expression, or can not be evaluated, is an error and no empty text', () => {
  const scope = { contexts: {}, status: 'success', workspace: folderOf('empty-') } as const;
  for (const source of [
    '',
    '1 +',
    'a b',
    "'open",
    'github.',
    '(1',
    'contains(1)',
    'always(1)',
    'format()',
    'toString()',
    'constructor',
    '1 2',
    '$',
    `${'('.repeat(20_000)}1`,
    `'${'x'.repeat(30_000)}'`,
    `${'!'.repeat(100)}1`,
  ]) {
    expect(() => compile(source), source.slice(0, 20)).toThrow(ExpressionError);
  }
  for (const source of ["fromJSON('{')", "fromJSON('')", "format('{1}', 1)", "format('{x')"])
    expect(() => compile(source).evaluate(scope), source).toThrow(ExpressionError);
  expect(compile("hashFiles('**/*.lock')").evaluate(scope)).toBe('');
  expect(compile('github.constructor').evaluate(scope)).toBe(null);
  expect(compile('matrix.CONSTRUCTOR').evaluate({ ...scope, contexts: { matrix: { constructor: 'own' } } })).toBe(
    'own',
  );
  writeFileSync(join(scope.workspace, 'a.lock'), 'a');
  symlinkSync('nowhere', join(scope.workspace, 'b.lock'));
  const hash = compile("hashFiles('*.lock')").evaluate(scope);
  expect(hash).toHaveLength(64);
  writeFileSync(join(scope.workspace, 'c.lock'), 'c');
  expect(compile("hashFiles('*.lock', '!c.*')").evaluate(scope), 'less what an exclamation mark takes out').toBe(hash);
  expect(compile("hashFiles('*.lock')").evaluate(scope)).not.toBe(hash);
  expect(compile("hashFiles('../*')").evaluate({ ...scope, workspace: join(scope.workspace, '..', 'none') })).toBe('');
});

// ── jobs and steps ──────────────────────────────────────────────────────────────────────────────────────────────────

test('a matrix is the product of its axes less what is excluded and with what is included', async () => {
  const jobs = `plan:\n  outputs: { cells: '\${{ steps.c.outputs.cells }}' }\n  ${steps(`- id: c\n  run: echo 'cells={"os":["x"],"n":[7]}' >> $GITHUB_OUTPUT`)}\n`;
  const report = await runJobs(
    `${jobs}a:\n  strategy:\n    matrix:\n      os: [x, y]\n      n: [1, 2]\n      exclude: [{ os: y, n: 1 }]\n      include: [{ os: x, n: 2, extra: z }, { os: w }, { all: q }, { constructor: k }]\n  ${steps('- run: exit 0')}\n` +
      `b:\n  needs: plan\n  strategy: { matrix: '\${{ fromJSON(needs.plan.outputs.cells) }}' }\n  ${steps('- run: exit 0')}\n` +
      `c:\n  strategy: { matrix: { n: [] } }\n  ${steps('- run: exit 0')}\n` +
      `d:\n  strategy: { matrix: { n: &many [1, 2, 3, 4, 5, 6, 7], m: *many, k: *many } }\n  ${steps('- run: exit 0')}\ne:\n  strategy: { matrix: { n: [1], include: [null] } }\n  ${steps('- run: exit 0')}\nf:\n  strategy: { fail-fast: false }\n  ${steps('- run: exit ${{ strategy.job-index }}')}`,
  );
  const names = report.jobs.map((job) => `${job.name} ${job.conclusion}`);
  expect(names).toEqual([
    'plan success',
    'a (x, 1, q, k) success',
    'a (x, 2, z, q, k) success',
    'a (y, 2, q, k) success',
    'a (w) success',
    'b (x, 7) success',
    'c failure',
    'd failure',
    'e failure',
    'f success',
  ]);
  expect(report.jobs.slice(-4, -1).map((job) => job.reason)).toEqual([
    expect.stringContaining('no cell'),
    expect.stringContaining('256'),
    expect.stringContaining('null'),
  ]);
});

test('one red cell cancels the others of its matrix, unless fail-fast is off', async () => {
  const cells = (failFast: boolean) =>
    `strategy: { fail-fast: ${failFast}, matrix: { n: [0.1, 60] } }\n  ${steps('- run: sleep ${{ matrix.n }}; exit 1')}`;
  const started = performance.now();
  const report = await runJobs(
    `a:\n  ${cells(true)}\nb:\n  ${cells(false).replace('60', '0.2')}\nc:\n  needs: a\n  if: needs.a.result == 'failure' && failure()\n  ${steps('- run: exit 0')}`,
    { maxJobs: 4 },
  );
  expect(tale(report)).toEqual({
    conclusion: 'failure',
    'a (0.1)': 'failure failure',
    'a (60)': 'cancelled cancelled',
    'b (0.1)': 'failure failure',
    'b (0.2)': 'failure failure',
    c: 'success success',
  });
  expect(performance.now() - started < 30_000).toBe(true);
});

test('values go from step to step and from job to job, and no further', async () => {
  const report = await runJobs(
    `a:\n  env: { A: '\${{ github.job }}', B: job }\n  outputs: { two: '\${{ steps.s.outputs.two }}', __proto__x: '1' }\n  ${steps(
      `- id: s\n  env: { B: '\${{ env.A }}-step' }\n  run: |\n    echo "$A $B \${{ env.B }}"\n    printf 'one=1\\ntwo<<END\\nx=1\\n\\ny\\nEND\\n__proto__=p\\nempty<<END\\nEND\\n' >> $GITHUB_OUTPUT\n    printf 'C=from env\\nGITHUB_JOB=forged\\n' >> $GITHUB_ENV\n` +
        `- run: echo "$B $C $GITHUB_JOB \${{ env.C }} \${{ steps.s.outputs.one }} \${{ steps.s.outputs.__proto__ }} \${{ steps.s.outputs.none }}\${{ steps.s.outputs.empty }}|"\n  working-directory: .github\n- run: pwd | sed 's|.*/||'\n  working-directory: .github`,
    )}\nb:\n  needs: a\n  ${steps(`- run: echo "\${{ needs.a.outputs.two }}" "[$C]"\n- run: echo nonsense >> $GITHUB_OUTPUT\n- if: failure()\n  run: exit 0`)}`,
  );
  expect(failed(report)).toContain('a a-step a-step\n');
  expect(logOf(report)).toContain('job from env a from env 1 p |\n.github\nx=1\n\ny []\n');
  expect(tale(report)).toEqual({
    conclusion: 'failure',
    a: 'success success success success',
    b: 'failure success failure success',
  });
  expect(failed(report)).toContain('what a step hands on is name=value');
});

test('a step hands on a folder for PATH, a mask and an output in the old form, and may remove its temporary folder', async () => {
  const report = await runJobs(
    `a:\n  strategy: { matrix: { sh: [bash] } }\n  defaults: { run: { shell: '\${{ matrix.sh }}' } }\n  ${steps(
      `- id: s\n  run: |\n    mkdir ../bin; printf '#!/bin/sh\\necho own\\n' > ../bin/tool; chmod +x ../bin/tool; (cd ../bin; pwd) >> $GITHUB_PATH\n    echo '::add-mask::50%25 sugar'; echo '::set-output name=two::a%0Ab'; seq 2000\n` +
        `- run: tool; echo "50% sugar \${{ steps.s.outputs.two }}"\n- run: rm -rf "$RUNNER_TEMP"\n- run: echo "\${{ vars.TART }}"\n- run: false | cat`,
    )}`,
    { vars: { TART: 'plum' }, maxLog: 1_000 },
  );
  expect(logOf(report)).toMatch(/2000\nown\n\*\*\* a\nb\nplum\n$/);
  expect(tale(report), failed(report)).toEqual({
    conclusion: 'failure',
    'a (bash)': 'failure success success success success failure',
  });
});

test('github.ref is the name of what is run, and not of what is checked out', async () => {
  commit(`a:\n  ${steps('- run: echo "${{ github.ref }} ${{ github.ref_name }} $GITHUB_REF"')}`);
  project.git('branch', 'feature/x');
  project.git('tag', 'v1');
  const sha = project.git('rev-parse', 'HEAD').trim();
  const refs = { HEAD: 'refs/heads/main main', 'feature/x': 'refs/heads/feature/x feature/x', v1: 'refs/tags/v1 v1' };
  for (const [ref, said] of Object.entries({ ...refs, [sha]: `${sha} ${sha}` }))
    expect(logOf(await run({ ref })), ref).toBe(`${said} ${said.split(' ')[0]}\n`);
  project.git('checkout', '-q', '--detach');
  expect(logOf(await run()), 'detached').toBe(`${sha} ${sha} ${sha}\n`);
  project.git('checkout', '-q', 'main');
});

test('a step sees nothing of our environment, and can not reach the repository it came from', async () => {
  process.env['LAB_PASSWORD'] = 'hunter2';
  process.env['GIT_DIR'] = '/nonexistent';
  onTestFinished(() => {
    delete process.env['LAB_PASSWORD'];
    delete process.env['GIT_DIR'];
  });
  const report = await runJobs(
    `a:\n  ${steps('- run: echo "[$LAB_PASSWORD] [$GIT_DIR] $MINE $(git remote)"; git commit -q --allow-empty -m x; git push -q origin HEAD:main')}`,
    {
      env: {
        MINE: 'mine',
        GIT_AUTHOR_NAME: 'a',
        GIT_AUTHOR_EMAIL: 'a',
        GIT_COMMITTER_NAME: 'a',
        GIT_COMMITTER_EMAIL: 'a',
      },
    },
  );
  expect(logOf(report)).toMatch(/^\[\] \[\] mine \n.*origin/s);
  expect([report.conclusion, project.git('rev-parse', 'HEAD').trim()]).toEqual(['failure', report.sha]);
});

test('what a step leaves in the background serves the next, and ends with its job', async () => {
  const file = join(folderOf('background-'), 'pid');
  const report = await runJobs(
    `a:\n  ${steps(`- run: |\n    (trap '' TERM HUP; while :; do sleep 0.05; done) & echo $! > ${file}\n    timeout 600 sleep 600 & echo $! >> ${file}\n    set -m; sleep 600 & echo $! >> ${file}\n- run: kill -0 $(cat ${file})`)}\n` +
      `b:\n  ${steps(`- timeout-minutes: 0.008\n  run: timeout 600 sh -c 'echo $$ >> ${file}.b; sleep 600'`)}`,
  );
  expect(tale(report)).toEqual({ conclusion: 'failure', a: 'success success success', b: 'failure failure' });
  const pids = [file, `${file}.b`].flatMap((each) =>
    existsSync(each) ? readFileSync(each, 'utf8').trim().split('\n') : [],
  );
  await until(() => alive(pids).length === 0, { what: 'the end of the background processes' });
});

test('a cancelled run ends its processes, sweeps, and says so', async () => {
  const stop = new AbortController();
  const marks = folderOf('cancel-');
  commit(
    `a:\n  ${steps(`- run: touch ${marks}/on; sleep 60\n- run: touch ${marks}/never\n- if: cancelled()\n  run: touch ${marks}/swept\n- if: always()\n  run: sleep 60`)}\n` +
      `b:\n  needs: a\n  ${steps('- run: exit 0')}\nc:\n  needs: a\n  if: always()\n  ${steps('- run: exit 0')}`,
  );
  const cancelled = run({ signal: stop.signal, graceMs: 200, maxJobs: 1 });
  await until(() => existsSync(join(marks, 'on')), { timeoutMs: 20_000, what: 'the first step' });
  stop.abort(new Error('enough'));
  expect(tale(await cancelled)).toEqual({
    conclusion: 'failure',
    a: 'failure cancelled skipped success failure',
    b: 'cancelled',
    c: 'cancelled',
  });
  expect(readdirSync(marks).sort()).toEqual(['on', 'swept']);
  expect(tale(await run({ signal: AbortSignal.abort() }))).toMatchObject({ conclusion: 'cancelled', a: 'cancelled' });
});

test('when the runner is killed nothing of it lives on', async () => {
  const folder = folderOf('killed-');
  const file = join(folder, 'pids');
  commit(
    `a:\n  ${steps(`- run: |\n    trap '' TERM HUP\n    sleep 60 & one=$!\n    timeout 60 sleep 60 &\n    echo $$ $one $! > ${file}.new && mv ${file}.new ${file}\n    wait`)}`,
  );
  const runner = spawn(process.execPath, [join(import.meta.dirname, 'runner.ts'), project.folder], {
    stdio: 'ignore',
    env: { ...process.env, TMPDIR: folder },
  });
  await until(() => existsSync(file), { timeoutMs: 20_000, what: 'the step' });
  runner.kill('SIGKILL');
  const pids = readFileSync(file, 'utf8').trim().split(' ');
  await until(() => alive(pids).length === 0, { what: 'the end of what the runner had begun' });
});

test('what a step writes is kept within limits, in whole lines', async () => {
  const report = await runJobs(
    `a:\n  ${steps(`- run: for n in $(seq 1 3000); do echo "line $n hunter2"; done\n- run: head -c 300000 /dev/zero | tr '\\0' x; printf hunter2; echo; echo 'the end 柜'; sleep 0.1; echo later\n- run: head -c 2000000 /dev/zero >> $GITHUB_OUTPUT\n  if: always()`)}`,
    { maxLog: 1_000, secrets: { A: 'hunter2' } },
  );
  const [lines = '', long = ''] = report.jobs[0]?.steps.map((step) => step.log) ?? [];
  expect(lines).toMatch(/^\[the beginning is cut off\]\n(?:line \d+ \*\*\*\n)+$/);
  expect(lines.endsWith('line 3000 ***\n') && lines.length < 1_100).toBe(true);
  expect(long).toBe('[the beginning is cut off]\nthe end 柜\nlater\n');
  expect(failed(report)).toContain('larger than 1 MiB');
  commit(`a:\n  ${steps("- run: printf '\\nab\\n1234\\n5678\\n'")}`);
  const cut = '[the beginning is cut off]\n';
  const kept = { 14: '\nab\n1234\n5678\n', 13: `${cut}ab\n1234\n5678\n`, 10: `${cut}1234\n5678\n`, 9: `${cut}5678\n` };
  const check = async ([maxLog, said]: [maxLog: string, said: string]) =>
    expect(logOf(await run({ maxLog: Number(maxLog) })), `of at most ${maxLog} characters`).toBe(said);
  await Promise.all(Object.entries(kept).map(check));
});

test('what belongs to another machine is not executed, and what can not start is red', async () => {
  const report = await runJobs(
    `a:\n  runs-on: windows-latest\n  steps: [{ run: exit 0 }]\nb:\n  container: node:24\n  ${steps('- run: exit 0')}\nc:\n  uses: ./.github/workflows/other.yml\nd:\n  needs: a\n  ${steps('- run: exit 0')}\n` +
      `e:\n  ${steps('- run: exit 0\n  shell: no-such-shell {0}')}\nf:\n  ${steps('- run: exit 0\n  working-directory: none')}\ng:\n  timeout-minutes: \${{ fromJSON('0') }}\n  ${steps('- run: exit 0')}\n` +
      `h:\n  runs-on: \${{ matrix.os }}\n  strategy: { matrix: { os: [ubuntu-latest, windows-latest] } }\n  steps: [{ run: exit 0 }]\n` +
      `i:\n  ${steps("- if: fromJSON('{')\n  run: exit 0")}`,
  );
  expect(tale(report)).toEqual({
    conclusion: 'failure',
    a: 'incomplete',
    b: 'incomplete',
    c: 'incomplete',
    d: 'skipped',
    e: 'failure failure',
    f: 'failure failure',
    g: 'failure',
    'h (ubuntu-latest)': 'success success',
    'h (windows-latest)': 'incomplete',
    i: 'failure failure',
  });
  expect(report.notExecuted).toEqual(['a', 'b', 'c', 'h (windows-latest)']);
  const idle = await runJobs(`a:\n  if: false\n  ${steps('- run: exit 0')}`);
  expect(tale(idle), 'a run in which nothing ran').toEqual({ conclusion: 'incomplete', a: 'skipped' });
});

test('a job that may fail is a success that is told, and one that was not executed is none', async () => {
  const report = await runJobs(
    `a:\n  continue-on-error: true\n  ${steps('- run: exit 1')}\nb:\n  needs: a\n  ${steps('- run: exit 0')}\n` +
      `c:\n  continue-on-error: true\n  ${steps('- uses: github/codeql-action/analyze@v3')}\nd:\n  needs: c\n  ${steps('- run: exit 0')}`,
  );
  expect([tale(report), report.hidden]).toEqual([
    {
      conclusion: 'incomplete',
      a: 'success failure',
      b: 'success success',
      c: 'incomplete not-executed',
      d: 'skipped',
    },
    ['a'],
  ]);
});

test('a commit that is not whole is red, and nothing of it runs', async () => {
  using broken = newProject();
  broken.commit({ 'recipe.txt': 'flour', [PATH]: `on: push\njobs:\n  a: { runs-on: x, steps: [{ run: exit 0 }] }` });
  const blob = broken.git('rev-parse', 'HEAD:recipe.txt').trim();
  rmSync(join(broken.folder, '.git', 'objects', blob.slice(0, 2), blob.slice(2)));
  const report = await run({ repository: broken.folder });
  expect([tale(report), failed(report)]).toEqual([
    { conclusion: 'failure', a: 'failure' },
    expect.stringContaining('recipe.txt'),
  ]);
});

test('what nothing can be run from is refused, each in its own way', async () => {
  commit(`a:\n  ${steps('- run: exit 0')}`);
  const none = folderOf('none-');
  const bad: [object, new (...all: never[]) => Error][] = [
    [{ repository: none }, CheckoutError],
    [{ repository: join(none, 'nowhere') }, CheckoutError],
    [{ workflow: 'none.yml' }, CheckoutError],
    [{ ref: 'nowhere' }, CheckoutError],
    [{ ref: '--help' }, CheckoutError],
    [{ repository: 7 }, InvalidArgumentError],
    [{ maxJobs: 0 }, InvalidArgumentError],
    [{ graceMs: Number.NaN }, InvalidArgumentError],
    [{ maxLog: '5' }, InvalidArgumentError],
    [{ env: { A: 'a\0' } }, InvalidArgumentError],
    [{ secrets: { A: 7 } }, InvalidArgumentError],
  ];
  for (const [options, kind] of bad)
    expect((await outcome(run(options), 10_000)).error, JSON.stringify(options)).toBeInstanceOf(kind);
  project.write({ [PATH]: 'broken: [' });
  expect(tale(await run()), 'a workflow that was not committed').toEqual({
    conclusion: 'success',
    a: 'success success',
  });
  project.git('checkout', '-q', '.');
  expect(
    (await runWorkflow({ repository: join(project.folder, '.github'), ref: 'HEAD' })).conclusion,
    'from within',
  ).toBe('success');
});

// ── policy ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const SHA = '11bd71901bbe5b1630ceea73d27597364c9af683';
const GOOD = `on: pull_request
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-22.04
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@${SHA}
      - uses: actions/cache@${SHA}
        with:
          path: ~/.npm
          key: npm-\${{ hashFiles('package-lock.json') }}
      - run: npm ci
      - shell: bash
        run: npm test | tee log.txt
      - env:
          TITLE: \${{ github.event.pull_request.title }}
        run: echo "$TITLE a | b" # a | comment || true
`;

test('each rule finds its fault where it stands, and nothing in a good workflow', () => {
  const faults: [from: string, to: string, ...found: string[]][] = [
    ['x', 'x'],
    [`checkout@${SHA}`, 'checkout@v4', '9 unpinned-action'],
    ['permissions:\n  contents: read\n', '', '3 broad-permissions'],
    ['  contents: read', '  contents: write', '2 broad-permissions'],
    ['    timeout-minutes: 10\n', '', '5 no-timeout'],
    ['npm ci', 'npm install --no-audit', '14 unfrozen-install'],
    ['npm ci', 'npm install -g pnpm'],
    ['npm ci', 'yarn install', '14 unfrozen-install'],
    ['npm ci', 'npm ci || true', '14 swallowed-failure'],
    ['npm ci', 'npm ci ; exit 0', '14 swallowed-failure'],
    ['npm ci', '"set +e; npm ci"', '14 swallowed-failure'],
    ['npm ci', 'npm ci || exit 1'],
    ['npm ci', `"set -o pipefail\\nnpm ci | tee log"`],
    ['shell: bash\n        run: npm', 'run: npm', '15 swallowed-failure'],
    ['    timeout-minutes', '    continue-on-error: true\n    timeout-minutes', '7 swallowed-failure'],
    ['- run: npm ci', '- run: npm ci\n        continue-on-error: true', '15 swallowed-failure'],
    ['- run: npm ci', '- shell: sh\n        run: npm test | tee log', '15 swallowed-failure'],
    ['- run: npm ci', '- run: npm ci\n        continue-on-error: "true"', '15 swallowed-failure'],
    ['- run: npm ci', '- run: |\n          npm ci ||\n            true', '14 swallowed-failure'],
    [
      '- run: npm ci',
      "- run: |\n          cat <<'END' >> $GITHUB_STEP_SUMMARY\n          | a | b || true\n          END",
    ],
    ['npm ci', 'printf "$KEY" | base64 -d'],
    ['npm ci', 'npm ci || echo bad && exit 1'],
    ['npm ci', "npm ci ${{ vars.FLAG }} ${{ format('{0}', inputs.debug && '-d' || '') }}", '14 script-injection'],
    ['npm ci', "npm ci ${{ inputs.debug && '-d' || '' }}"],
    ['echo "$TITLE', 'echo "${{ env.TITLE }}', '19 script-injection'],
    ['on: pull_request', 'on: pull_request_target'],
    ['on: pull_request\n', 'on: [pull_request_target]\n'],
    ["npm-${{ hashFiles('package-lock.json') }}", 'npm-${{ runner.os }}', '11 stale-cache-key'],
  ];
  for (const [from, to, ...found] of faults) {
    expect(
      checkPolicy(GOOD.replace(from, to)).map(({ line, rule }) => `${line} ${rule}`),
      to,
    ).toEqual(found);
  }
  const pwn = GOOD.replace('on: pull_request', 'on: pull_request_target').replace(
    `checkout@${SHA}\n`,
    `checkout@${SHA}\n        with:\n          ref: \${{ github.event.pull_request.head.sha }}\n`,
  );
  expect(checkPolicy(pwn).map(({ line, rule }) => `${line} ${rule}`)).toEqual(['9 pwn-request']);
  expect(checkPolicy(pwn.replace('pull_request_target', 'issue_comment')).map(({ rule }) => rule)).toEqual([
    'pwn-request',
  ]);
  expect(checkPolicy(Object(undefined)).map(({ rule }) => rule)).toEqual(['syntax']);
});

test('a finding is accepted with a reason, and an acceptance without one, or without a finding, is a finding', () => {
  const found = (to: string) => checkPolicy(GOOD.replace('- run: npm ci', to)).map(({ rule }) => rule);
  expect(found('- run: npm audit || true # allow swallowed-failure: advice only')).toEqual([]);
  expect(found('# allow swallowed-failure: advice only\n      - run: npm audit || true')).toEqual([]);
  expect(found('- run: npm audit || true # allow swallowed-failure')).toEqual(['swallowed-failure', 'bare-allow']);
  expect(found('- run: npm ci # allow swallowed-failure: once')).toEqual(['unused-allow']);
  expect(found('- run: npm audit || true # allow unpinned-action: wrong rule').sort()).toEqual([
    'swallowed-failure',
    'unused-allow',
  ]);
});

test("actionlint's findings stand beside ours, and no text stops it", async () => {
  const rules = async (text: string) => (await lintWorkflow(text)).map(({ rule, line }) => `${line} ${rule}`);
  expect(await rules('a: [')).toEqual(['1 syntax']);
  expect(await rules(GOOD)).toEqual([]);
  expect(
    await rules(
      GOOD.replace('echo "$TITLE', 'echo "${{ github.event.pull_request.title }} ${{ steps.none.outputs.x }}'),
    ),
  ).toEqual(['19 script-injection', '19 script-injection', '19 actionlint/expression']);
});

// ── canary ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test('hardly any healthy release is rolled back, and every bad one is, early', async () => {
  const { next } = random(SEED);
  const many = async (shares: { canary: number; stable: number }, count: number) => {
    const traffics = Array.from({ length: count }, () => newTraffic(shares, 200, next));
    const ends = await Promise.all(
      traffics.map((traffic) => rollOut(traffic, { minRequests: 100, stepTimeoutMs: 30_000 })),
    );
    const reached = traffics.map((traffic) => Math.max(...traffic.weights));
    return {
      back: ends.filter(({ outcome: end }) => end === 'rolled-back').length,
      reached,
      failures: traffics.map(({ counts }) => counts.canary.errors),
    };
  };
  const healthy = await many({ canary: 0.02, stable: 0.02 }, 150);
  // Promised are 1 of 100 at most; twelve of 150 would be a chance of 1 in 100,000.
  expect(healthy.back, 'healthy releases rolled back, of 150').toBeLessThan(8);
  const bad = await many({ canary: 0.3, stable: 0.02 }, 50);
  expect([bad.back, Math.max(...bad.reached) <= 25], `weights reached: ${bad.reached}`).toEqual([50, true]);
}, 20_000);

test("the chance that a canary is worse by accident is that of Fisher's exact test", () => {
  const choose = (n: number, k: number) => {
    let product = 1n;
    for (let i = 1; i <= k; i++) product = (product * BigInt(n - k + i)) / BigInt(i);
    return product;
  };
  const exact = (a: Sample, b: Sample) => {
    const [all, errors] = [a.requests + b.requests, a.errors + b.errors];
    let ways = 0n;
    for (let k = a.errors; k <= Math.min(errors, a.requests); k++)
      if (a.requests - k <= all - errors) ways += choose(errors, k) * choose(all - errors, a.requests - k);
    return Number((ways * 10n ** 90n) / choose(all, a.requests)) / 1e90;
  };
  const { int } = random(SEED);
  for (let n = 0; n < 200; n++) {
    const [a, b] = [int(1, n), int(1, 3 * n)].map((requests) => ({ requests, errors: int(0, Math.min(requests, 40)) }));
    if (!a || !b) continue;
    const worseRate = a.errors * b.requests > b.errors * a.requests;
    const wanted = worseRate ? exact(a, b) : 1;
    expect(
      Math.abs(worse(a, b) / wanted - 1),
      `${JSON.stringify([a, b])}: ${worse(a, b)}, exactly ${wanted}`,
    ).toBeLessThan(1e-9);
  }
});

test('who looks a hundred times is not fooled more often', async () => {
  const ends = Array.from({ length: 60 }, (_, seed) =>
    rollOut(newTraffic({ canary: 0.1, stable: 0.1 }, 100, random(seed).next), {
      ...{ steps: [50, 100], alpha: 0.3, minRequests: 2_500, maxErrorShare: 1, stepTimeoutMs: 60_000 },
    }),
  );
  const back = (await Promise.all(ends)).filter(({ outcome: end }) => end === 'rolled-back').length;
  // 18 of 60 are promised at most; each look taken for the only one, it would be most of them.
  expect(back, 'healthy releases rolled back, of 60').toBeLessThan(18);
}, 20_000);

test('a counter that begins again is counted from nothing', async () => {
  const counted = async (looks: [requests: number, errors: number][]) => {
    let look = 0;
    const measure = async () => {
      const [requests, errors] = looks[Math.min(look++, looks.length - 1)] ?? [0, 0];
      return { canary: { requests, errors }, stable: { requests: 100 * look, errors: 0 } };
    };
    const { history } = await rollOut({ setWeight: async () => {}, measure }, { minRequests: 80, stepTimeoutMs: 200 });
    return history[0]?.canary;
  };
  expect(
    await counted([
      [5, 3],
      [35, 3],
      [20, 1],
      [60, 1],
    ]),
  ).toEqual({ requests: 90, errors: 1 });
  expect(
    await counted([
      [5, 3],
      [85, 1],
    ]),
  ).toEqual({ requests: 85, errors: 1 });
  expect(
    await counted([
      [95, 1],
      [85, 1],
    ]),
  ).toEqual({ requests: 85, errors: 1 });
});

test('killed between any two of its calls, a rollout ends the same, and no weight is given without its proof', async () => {
  for (const shares of [
    { canary: 0, stable: 0 },
    { canary: 0.5, stable: 0 },
  ]) {
    for (let kill = 1; kill < 12; kill++) {
      const { store, states } = newStore();
      const traffic = newTraffic(shares, 1_000, random(kill).next);
      let calls = 0;
      const life = new AbortController();
      const dies =
        <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
        async (...args: A): Promise<R> => {
          if (++calls === kill) life.abort(new Error('killed'));
          life.signal.throwIfAborted();
          return call(...args);
        };
      const mortal = { setWeight: dies(traffic.setWeight), measure: dies(traffic.measure) };
      await outcome(
        rollOut(mortal, { store: { load: store.load, save: dies(store.save) }, signal: life.signal }),
        10_000,
      );
      const { outcome: end } = await rollOut(traffic, { store });
      const weights = traffic.weights.filter((each, index, all) => each !== all[index - 1]);
      const said = `killed at call ${kill}: weights ${weights}, phases ${states.map((each) => each.phase)}`;
      expect([end, weights], said).toEqual(shares.canary > 0 ? ['rolled-back', [5, 0]] : ['promoted', [5, 25, 100]]);
    }
  }
});

test('a measurement that fails, hangs, or is none is not health', async () => {
  const broken: [what: string, measure: (signal: AbortSignal) => Promise<{ canary: Sample; stable: Sample }>][] = [
    ['fails', () => Promise.reject(new Error('prometheus is down'))],
    ['hangs', () => new Promise(() => {})],
    ['is no number', async () => ({ canary: { requests: Number.NaN, errors: 0 }, stable: { requests: 1, errors: 0 } })],
    [
      'has more failures than requests',
      async () => ({ canary: { requests: 1, errors: 2 }, stable: { requests: 1, errors: 0 } }),
    ],
  ];
  for (const [what, measure] of broken) {
    const traffic = newTraffic({ canary: 0, stable: 0 }, 100, () => 1);
    const end = await rollOut({ ...traffic, measure }, { stepTimeoutMs: 80, callTimeoutMs: 30 });
    expect([end.outcome, traffic.weights, end.reason], what).toEqual([
      'rolled-back',
      [5, 0],
      expect.stringContaining('measurement failed'),
    ]);
  }
  const traffic = newTraffic({ canary: 0.5, stable: 0 }, 1_000, random(1).next);
  let looks = 0;
  const forgets = async () => {
    // Its process was restarted, and counts from nothing.
    if (++looks === 2) traffic.counts.canary = { requests: 0, errors: 0 };
    return traffic.measure();
  };
  expect(await rollOut({ ...traffic, measure: forgets }), 'after a counter began again').toMatchObject({
    outcome: 'rolled-back',
  });
});

test('traffic that can not be taken away is an error, and the next call takes it away', async () => {
  const { store, states } = newStore();
  const traffic = newTraffic({ canary: 1, stable: 0 }, 1_000, random(1).next);
  const stuck = {
    ...traffic,
    setWeight: (percent: number) =>
      percent === 0 ? Promise.reject(new Error('proxy is down')) : traffic.setWeight(percent),
  };
  expect((await outcome(rollOut(stuck, { store, callTimeoutMs: 50 }))).error).toBeInstanceOf(RollbackFailedError);
  expect(states.at(-1)?.phase).toBe('rolling-back');
  expect((await rollOut(traffic, { store })).outcome).toBe('rolled-back');
  expect([traffic.weights.at(-1), states.at(-1)?.phase]).toEqual([0, 'rolled-back']);
  const never = {
    ...traffic,
    setWeight: (percent: number) => (percent === 5 ? Promise.reject(new Error('no')) : traffic.setWeight(percent)),
  };
  expect((await rollOut(never)).reason).toContain('could not be set to 5 %');
});

test('a rollout ends with fewer steps than before, and is taken back though nothing can be written', async () => {
  const traffic = newTraffic({ canary: 0, stable: 0 }, 2_000, () => 1);
  const { store } = newStore();
  const sample = { requests: 2_000, errors: 0 };
  const history: RolloutState['history'] = [
    { weight: 5, verdict: 'healthy', reason: '', canary: sample, stable: sample },
  ];
  await store.save({ release: 'v2', phase: 'advancing', step: 7, reason: '', history }, 0);
  expect((await rollOut(traffic, { store })).outcome).toBe('promoted');
  const bad = newTraffic({ canary: 1, stable: 0 }, 2_000, () => 0.5);
  const full = newStore();
  const save = async (state: RolloutState, revision: number) => {
    if (revision > 0) throw new Error('ENOSPC');
    return full.store.save(state, revision);
  };
  expect(String((await outcome(rollOut(bad, { store: { ...full.store, save } }))).error)).toContain('ENOSPC');
  expect(bad.weights).toEqual([5, 0]);
});

test('a state that is none is named, and names beside it are none of its revisions', async () => {
  const path = join(folderOf('state-'), 'rollout');
  for (const odd of ['1e3', '0x10', '-5', 'bak', '']) writeFileSync(`${path}.${odd}`, 'odd');
  expect(await fileStore(path).load()).toEqual({ revision: 0, state: undefined });
  writeFileSync(`${path}.3`, '{"release":');
  const { error } = await outcome(fileStore(path).load());
  expect([error?.constructor.name, String(error)]).toEqual([
    'InvalidArgumentError',
    expect.stringContaining(`${path}.3`),
  ]);
  const missing = await outcome(
    fileStore(join(path, 'none', 'x')).save({ release: 'a', phase: 'promoted', step: 0, reason: '', history: [] }, 0),
  );
  expect(missing.error).not.toBeInstanceOf(StateConflictError);
});

test('of two controllers of one rollout one is told', async () => {
  const path = join(folderOf('state-'), 'rollout.json');
  const store = fileStore(path);
  const state = { release: 'v2', phase: 'advancing', step: 0, reason: '', history: [] } as const;
  expect(await store.load()).toEqual({ revision: 0, state: undefined });
  const saves = await Promise.all(
    Array.from({ length: 4 }, () => outcome(fileStore(path).save(structuredClone({ ...state, history: [] }), 0))),
  );
  expect(saves.filter(({ error }) => error === undefined).length).toBe(1);
  for (const { error } of saves) if (error) expect(error).toBeInstanceOf(StateConflictError);
  expect(await store.load()).toEqual({ revision: 1, state });
  await store.save({ ...state, history: [], step: 1 }, 1);
  await store.save({ ...state, history: [], step: 2 }, 2);
  expect((await outcome(store.save({ ...state, history: [] }, 1))).error).toBeInstanceOf(StateConflictError);
  expect(await fileStore(path).load()).toMatchObject({ revision: 3, state: { step: 2 } });
  const next = await Promise.all(
    [1, 2].map(() =>
      outcome(
        rollOut(
          newTraffic({ canary: 0, stable: 0 }, 2_000, () => 1),
          { store: fileStore(path) },
        ),
        10_000,
      ),
    ),
  );
  expect(next.map(({ error }) => error?.constructor.name ?? 'done').sort()).toEqual(['StateConflictError', 'done']);
});

test('a rollout that can not be meant is refused', async () => {
  const bad = [
    { steps: [] },
    { steps: [100] },
    { steps: [5, 50] },
    { steps: [50, 5, 100] },
    { steps: [0, 100] },
    { steps: [5, 101] },
    { steps: '5' },
    { release: '' },
    { minRequests: 0 },
    { alpha: 0 },
    { alpha: 1 },
    { intervalMs: Number.NaN },
    { stepTimeoutMs: 2 ** 31 },
    { callTimeoutMs: '5' },
    { maxErrorShare: -1 },
  ];
  for (const options of bad) {
    const traffic = newTraffic({ canary: 0, stable: 0 }, 100, () => 1);
    const end = await outcome(rollOut(traffic, { ...QUICK, ...(options as object) }));
    expect([end.error?.constructor.name, traffic.weights], JSON.stringify(options)).toEqual([
      'InvalidArgumentError',
      [],
    ]);
  }
  const aborted = AbortSignal.abort(new Error('mine'));
  expect(
    (
      await outcome(
        rollOut(
          newTraffic({ canary: 0, stable: 0 }, 100, () => 1),
          { signal: aborted },
        ),
      )
    ).error,
  ).toBe(aborted.reason);
});

test('on real processes a bad release is taken back, and a good one gets all the traffic', async () => {
  const ends: [share: number, end: string][] = [
    [0.5, 'rolled-back'],
    [0, 'promoted'],
  ];
  const check = async ([share, end]: [share: number, end: string]) => {
    using shop = await openShop({ stable: 0, canary: share });
    const gone = new AbortController();
    const guests = shop.guests(gone.signal);
    const rollout = await rollOut(
      { setWeight: (percent) => shop.setWeight(percent).then(() => {}), measure: shop.measure },
      { steps: [20, 50, 100], minRequests: 30, intervalMs: 10, stepTimeoutMs: 40_000 },
    );
    const { weight, canary } = await shop.counts();
    gone.abort();
    await guests;
    expect([rollout.outcome, weight], `${rollout.reason}; ${canary.errors} guests without a tart`).toEqual([
      end,
      end === 'promoted' ? 100 : 0,
    ]);
  };
  await Promise.all(ends.map(check));
}, 60_000);
