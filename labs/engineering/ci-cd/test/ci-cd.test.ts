// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what GitHub calls an expression
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { History, outcome, random, until } from '@shared/testkit';
import { expect, test } from 'vitest';
import { checkPolicy } from '#lab';
import { newStore, newTraffic, rollOut } from './traffic.ts';
import { failed, logOf, PATH, project, run, runJobs, steps, tale } from './workflow.ts';

// ── continuous integration ──────────────────────────────────────────────────────────────────────────────────────────

test('what is not committed is not in the run', async () => {
  project.commit({
    'recipe.txt': 'flour\n',
    [PATH]: `on: push\njobs:\n  a:\n    ${steps('- run: cat recipe.txt; ls\n- run: git status --porcelain; echo x > recipe.txt').replace(/\n/g, '\n  ')}`,
  });
  project.write({ 'recipe.txt': 'flour and sugar\n', 'secret-ingredient.txt': 'salt' });
  const report = await run();
  project.git('checkout', '-q', 'recipe.txt');
  expect(logOf(report)).toBe('flour\nrecipe.txt\n');
  expect([...report.uncommitted].sort()).toEqual(['recipe.txt', 'secret-ingredient.txt']);
  expect(tale(report)).toEqual({ conclusion: 'success', a: 'success success success' });
  project.git('clean', '-fdq');
});

test('a command that fails ends its step, and one within a pipe does where the step says shell: bash', async () => {
  const report = await runJobs(
    `first:\n  ${steps('- run: |\n    false\n    echo later')}\n` +
      `pipe:\n  ${steps('- run: |\n    false | cat')}\n` +
      `strict:\n  ${steps('- shell: bash\n  run: |\n    false | cat\n    echo later')}\n` +
      `house:\n  defaults: { run: { shell: bash } }\n  ${steps('- run: false | cat')}\n` +
      `own:\n  ${steps('- shell: node {0}\n  run: console.log(6 * 7)')}`,
  );
  expect(logOf(report)).toBe('42\n');
  expect(tale(report)).toEqual({
    conclusion: 'failure',
    first: 'failure failure',
    pipe: 'success success',
    strict: 'failure failure',
    house: 'failure failure',
    own: 'success success',
  });
});

test('one red step makes its job red, whatever runs after it', async () => {
  const report = await runJobs(
    `a:\n  ${steps('- run: exit 3\n- run: echo never\n- if: always()\n  run: echo sweep\n- if: failure()\n  run: echo alarm')}\n` +
      `b:\n  ${steps('- run: exit 1\n  id: t\n  continue-on-error: true\n- run: echo ${{ steps.t.outcome }} ${{ steps.t.conclusion }}\n- if: failure()\n  run: echo never')}`,
  );
  expect(logOf(report)).toBe('sweep\nalarm\nfailure success\n');
  expect(tale(report)).toEqual({
    conclusion: 'failure',
    a: 'failure failure skipped success success',
    b: 'success success success skipped',
  });
  expect(report.hidden, 'failures that the conclusion does not show').toEqual(['b / exit 1']);
});

test('a job runs when all that it needs has succeeded, and what was skipped vouches for nothing', async () => {
  const report = await runJobs(
    `late:\n  needs: [good, bad]\n  ${steps('- run: echo never')}\n` +
      `later:\n  needs: late\n  ${steps('- run: echo never')}\n` +
      `good:\n  ${steps('- run: echo good')}\n` +
      `bad:\n  ${steps('- run: exit 1')}\n` +
      `idle:\n  if: github.event_name == 'release'\n  ${steps('- run: echo never')}\n` +
      `after-idle:\n  needs: [good, idle]\n  ${steps('- run: echo never')}\n` +
      `gate:\n  needs: [late, idle, bad]\n  if: always()\n  ${steps("- run: echo gate ${{ contains(needs.*.result, 'success') }} ${{ needs.late.result }}")}\n` +
      `alarm:\n  needs: later\n  if: failure()\n  ${steps('- run: echo alarm')}`,
  );
  expect(tale(report)).toEqual({
    conclusion: 'failure',
    late: 'skipped',
    later: 'skipped',
    good: 'success success',
    bad: 'failure failure',
    idle: 'skipped',
    'after-idle': 'skipped',
    gate: 'success success',
    alarm: 'success success',
  });
  expect(logOf(report)).toBe('good\ngate false skipped\nalarm\n');
});

test('an action is reported as not executed: it is no success, and nothing that needs its job runs', async () => {
  const jobs =
    `scan:\n  ${steps('- uses: actions/checkout@v4\n- uses: github/codeql-action/analyze@v3\n- run: echo scanned')}\n` +
    `deploy:\n  needs: scan\n  ${steps('- run: echo deployed')}`;
  const report = await runJobs(jobs);
  expect(tale(report)).toEqual({
    conclusion: 'incomplete',
    scan: 'incomplete provided not-executed success',
    deploy: 'skipped',
  });
  expect(report.notExecuted).toEqual(['scan / actions/checkout@v4', 'scan / github/codeql-action/analyze@v3']);
  const stoodIn = await run({ provided: ['actions/checkout', 'github/codeql-action/analyze'] });
  expect(tale(stoodIn)).toEqual({
    conclusion: 'success',
    scan: 'success provided provided success',
    deploy: 'success success',
  });
});

test('a value is put into a script once, and what it holds is not evaluated again', async () => {
  const title = '${{ secrets.TOKEN }} $& ${{ github.sha';
  const report = await runJobs(
    `a:\n  ${steps("- env: { TITLE: '${{ github.event.title }}' }\n  run: |\n    echo \"$TITLE\"\n    cat <<'END'\n    ${{ github.event.title }} ${{ '}}' }}\n    END")}`,
    { github: { event: { title } }, secrets: { TOKEN: 'hunter2' } },
  );
  expect(failed(report), 'title in env, title in the script, and a quoted }} that ends no expression').toBe(
    `\n${title}\n${title} }}\n`,
  );
  expect(report.conclusion).toBe('success');
});

test("a stranger's text in a script is found wherever it comes from, and is data in env", () => {
  const rules = (script: string, env = '') => {
    const text = `on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: ${JSON.stringify(script)}\n${env}`;
    return checkPolicy(text)
      .filter(({ rule }) => rule === 'script-injection')
      .map(({ line }) => line);
  };
  const foreign = [
    'github.event.pull_request.title',
    'github.head_ref',
    'github.event.inputs.tag',
    'inputs.tag',
    'github.event.commits[0].message',
    "github['event'].issue.body",
    'GitHub.Event.comment.body',
    'env.TITLE',
    'toJSON(github)',
    'steps.a.outputs.title',
    'github.ref_name',
  ];
  const harmless = [
    'github.event.number',
    'github.sha',
    'matrix.node',
    'runner.os',
    "github.event.action == 'opened'",
    "contains(github.event.pull_request.title, 'wip')",
    "hashFiles('inputs.json')",
  ];
  const of = (all: string[]) => Object.fromEntries(all.map((each) => [each, rules(`echo "\${{ ${each} }}"`).length]));
  expect(of(foreign)).toEqual(Object.fromEntries(foreign.map((each) => [each, 1])));
  expect(of(harmless)).toEqual(Object.fromEntries(harmless.map((each) => [each, 0])));
  expect(rules('echo "$TITLE"', '        env: { TITLE: "${{ github.event.pull_request.title }}" }')).toEqual([]);
});

test('an action is pinned by a whole commit, and by nothing that can be moved', () => {
  const pinned = (uses: string) => {
    const text = `on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: ${uses}\n`;
    return !checkPolicy(text).some(({ rule }) => rule === 'unpinned-action');
  };
  const sha = '11bd71901bbe5b1630ceea73d27597364c9af683';
  const uses = {
    [`actions/checkout@${sha}`]: true,
    [`actions/checkout@${sha.toUpperCase()}`]: true,
    'actions/checkout@v4': false,
    'actions/checkout@v4.2.2': false,
    'actions/checkout@11bd719': false,
    'actions/checkout@main': false,
    'actions/checkout': false,
    './local': true,
    'docker://alpine:3.20': false,
    [`docker://alpine@sha256:${sha}${sha.slice(0, 24)}`]: true,
  };
  expect(Object.fromEntries(Object.keys(uses).map((each) => [each, pinned(each)]))).toEqual(uses);
});

test('when its time is up a step ends with all that it has begun', async () => {
  const file = join(project.folder, 'ticks');
  const started = performance.now();
  const report = await runJobs(
    `slow:\n  ${steps(`- timeout-minutes: 0.008\n  run: |\n    bash -c 'trap "" TERM; while :; do echo tick >> ${file}; sleep 0.1; done' &\n    sleep 60`)}\n` +
      `patient:\n  timeout-minutes: 0.008\n  ${steps('- run: sleep 60\n- run: echo never\n- if: always()\n  run: echo sweep')}`,
    { graceMs: 300 },
  );
  expect(tale(report)).toEqual({
    conclusion: 'failure',
    slow: 'failure failure',
    patient: 'failure failure skipped success',
  });
  expect(report.jobs.map((job) => job.steps[0]?.timedOut)).toEqual([true, true]);
  expect((performance.now() - started) / 60_000, 'minutes').toBeLessThan(0.5);
  // On a slow machine it may have written nothing before its time was up.
  const size = () => (existsSync(file) ? readFileSync(file, 'utf8').length : 0);
  const before = size();
  await until(() => size() > before, { timeoutMs: 250 }).catch(() => {});
  expect(size() - before, 'bytes that a child of the ended step still wrote').toBe(0);
  project.git('clean', '-fdq');
});

test('no line of a secret is in what comes out', async () => {
  const secrets = { SHORT: 'abcd', LONG: 'abcdefgh', KEY: '-----BEGIN-----\nMIIEow\n-----END-----\n', EMPTY: '' };
  const report = await runJobs(
    `a:\n  outputs: { leak: 'it is \${{ secrets.SHORT }}', fine: 'x' }\n  ${steps(
      '- name: with ${{ secrets.LONG }}\n  env: { KEY: "${{ secrets.KEY }}" }\n  run: |\n    echo "${{ secrets.LONG }} ${{ secrets.SHORT }}"; printf %s "$KEY" | sed "s/^/> /"\n    printf ab; sleep 0.05; echo cd; echo end',
    )}`,
    { secrets },
  );
  const {
    outputs,
    steps: [step],
  } = report.jobs[0] ?? { outputs: {}, steps: [] };
  expect(step?.log).toBe('*** ***\n> ***\n> ***\n> ***\n***\nend\n');
  expect(step?.name).toBe('with ***');
  expect(outputs, 'an output that holds a secret goes no further').toEqual({ fine: 'x' });
});

// ── continuous delivery ─────────────────────────────────────────────────────────────────────────────────────────────

test('a canary is judged by enough requests: neither one failure nor no traffic decides', async () => {
  const history = new History();
  const next = random(7).next;
  const say = async (what: string, traffic: ReturnType<typeof newTraffic>, options = {}) => {
    const { outcome: end, reason } = await rollOut(traffic, options);
    history.record(`${what}: ${end}, weights ${traffic.weights.join(' ')} (${reason})`);
    return [end, traffic.weights];
  };
  const unlucky = newTraffic({ canary: 0, stable: 0 }, 80, next);
  const measure = async () => {
    const counts = await unlucky.measure();
    if (counts.canary.requests > 4) counts.canary.errors = 1;
    return counts;
  };
  expect(await say('one failure', { ...unlucky, measure })).toEqual(['promoted', [5, 25, 100, 100]]);
  const alone = newTraffic({ canary: 0, stable: 0 }, 80, next);
  const noStable = async () => ({ ...(await alone.measure()), stable: { requests: 0, errors: 0 } });
  const notCompared = await say('no stable traffic', { ...alone, measure: noStable }, { stepTimeoutMs: 100 });
  expect(notCompared, 'nothing to compare the canary with').toEqual(['rolled-back', [5, 0]]);
  const nobody = newTraffic({ canary: 0, stable: 0 }, 0, next);
  expect(await say('no traffic', nobody, { stepTimeoutMs: 60 })).toEqual(['rolled-back', [5, 0]]);
  const bad = newTraffic({ canary: 0.2, stable: 0.01 }, 200, next);
  expect(await say('one of five fails', bad, { minRequests: 1_000_000 })).toEqual(['rolled-back', [5, 0]]);
  const both = newTraffic({ canary: 0.5, stable: 0.5 }, 200, next);
  expect(await say('both fail', both, { stepTimeoutMs: 100 })).toEqual(['rolled-back', [5, 0]]);
});

test('a rollout goes on where it stood, and a release that was rolled back stays so', async () => {
  const { store, states } = newStore();
  const stop = new AbortController();
  const traffic = newTraffic({ canary: 0, stable: 0 }, 2_000, random(3).next);
  const setWeight = async (percent: number) => {
    await traffic.setWeight(percent);
    if (percent === 25) stop.abort(new Error('the controller is killed'));
  };
  const killed = await outcome(rollOut({ ...traffic, setWeight }, { store, signal: stop.signal }));
  expect(killed.error).toBe(stop.signal.reason);
  expect((await rollOut(traffic, { store })).outcome).toBe('promoted');
  expect(traffic.weights).toEqual([5, 25, 25, 100, 100]);
  const bad = newTraffic({ canary: 1, stable: 0 }, 2_000, random(3).next);
  expect(await rollOut(bad, { store, release: 'v3' })).toMatchObject({ outcome: 'rolled-back' });
  const again = newTraffic({ canary: 0, stable: 0 }, 2_000, random(3).next);
  expect(await rollOut(again, { store, release: 'v3' })).toMatchObject({ outcome: 'rolled-back' });
  expect(again.weights, 'of a release that was rolled back').toEqual([0]);
  expect((await rollOut(again, { store, release: 'v4' })).outcome, states.map((each) => each.phase).join(' ')).toBe(
    'promoted',
  );
});
