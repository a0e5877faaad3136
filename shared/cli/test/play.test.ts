import { readFileSync } from 'node:fs';
import { until } from '@shared/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli } from '../src/cli.ts';
import { isMissing } from '../src/labs.ts';
import { columns } from '../src/text.ts';
import { context, type House, house, lab, manifest, startLab } from './house.ts';

const scripts = (demo: string) => ({ scripts: { demo, test: 'lab-test' } });
const patient = `
process.on('SIGINT', () => {
  console.log('cleaning up');
  setTimeout(() => { console.log('clean'); process.exit(130); }, 50);
});
setInterval(() => {}, 1000);
console.log('up', process.pid);
`;
const stories: Record<string, string> = {
  throws: "throw new Error('the server burned down');\n",
  stuck: 'await new Promise(() => {});\n',
  missing: 'process.exitCode = 3;\n',
  patient,
  main: "if (import.meta.main) console.log('main, with', process.argv.slice(2).join(' '));\n",
};

let home: House;
beforeAll(async () => {
  const labs = Object.entries(stories).flatMap(([name, demo]) => [
    [`labs/web/${name}/package.json`, manifest(name, 'web', scripts('node demo.ts'))] as const,
    [`labs/web/${name}/demo.ts`, demo] as const,
  ]);
  home = await house({
    ...Object.fromEntries(labs),
    'labs/web/loaded/package.json': manifest(
      'loaded',
      'web',
      scripts('node --import ./loader.mjs demo.ts --from script'),
    ),
    'labs/web/loaded/loader.mjs': 'globalThis.loader = true;\n',
    'labs/web/loaded/demo.ts': `console.log('loader', Reflect.get(globalThis, 'loader'), process.argv.slice(2).join(' '));\n`,
    'labs/web/quiet/package.json': manifest('quiet', 'web', scripts('node --no-warnings demo.ts')),
    'labs/web/quiet/demo.ts': '',
    'labs/web/quiet/exercise/hints.md': '# Core laws\n\n## a\n\n## b\n\n# Hardening laws\n\n## c\n',
    'labs/web/failing/package.json': manifest('failing', 'web', scripts('node --no-warnings demo.ts')),
    'labs/web/failing/demo.ts': 'process.exitCode = 1;\n',
    'labs/web/loaded/examples/patient.ts': patient,
    'labs/web/loaded/examples/busy.ts': `console.log('up', process.pid);\nfor (;;) {}\n`,
    'labs/web/loaded/examples/killed.ts': "process.kill(process.pid, 'SIGKILL');\n",
    'labs/web/empty/package.json': manifest('empty', 'web', scripts('node demo.ts')),
    'labs/web/shell/package.json': manifest('shell', 'web', scripts('cd .. && node demo.ts')),
  });
});
afterAll(() => home[Symbol.asyncDispose]());

/** Whether a process runs; one that has ended but was not collected yet does not. */
const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    return isMissing(error) && process.platform !== 'linux';
  }
};

/** A story that says "up" and its process. */
async function up(words: readonly string[]) {
  const story = startLab(home.root, words);
  const pid = await until(() => /up (\d+)/.exec(story.output())?.[1], { what: 'the story to be up' });
  return { ...story, pid: Number(pid) };
}

describe('a demo', () => {
  test("runs in its lab's folder, and every flag is its own", async () => {
    const played = await lab(home.root, ['once', '--seed', '7', '--hold']);
    expect(played).toMatchObject({ code: 0, out: 'once, with --seed 7 --hold in its folder\n', err: '' });
  });

  test('is found by the path of its folder as well', async () => {
    expect(await lab(home.root, ['labs/language/once/', '--', '--json'])).toMatchObject({
      code: 0,
      out: 'once, with --json in its folder\n',
    });
  });

  test('gives its exit code to the shell', async () => {
    expect(await lab(home.root, ['once', '--fail'])).toMatchObject({ code: 1 });
    expect(await lab(home.root, ['missing'])).toMatchObject({ code: 3 });
  });

  test('with a loader gets it, with the flags of its script before those of the user', async () => {
    expect(await lab(home.root, ['loaded', '--seed', '1'])).toMatchObject({
      code: 0,
      out: 'loader true --from script --seed 1\n',
    });
  });

  test('that was watched to its end invites to build it; one in a pipe, or that failed, does not', async () => {
    const played = async (name: string, interactive: boolean, ...flags: string[]) => {
      const called = context(home.root, [name, ...flags]);
      await cli({ ...called, out: { ...called.out, interactive } });
      return called.text();
    };
    expect(await played('quiet', true)).toContain('pnpm lab learn quiet  build it yourself, in 2 laws\n');
    expect(await played('quiet', true, '--json')).toBe('');
    expect(await played('quiet', false)).toBe('');
    expect(await played('failing', true)).toBe('');
  });

  test('that asks whether it is the main module is', async () => {
    expect(await lab(home.root, ['main', '--json'])).toMatchObject({ code: 0, out: 'main, with --json\n' });
  });

  test('that does not exist is one sentence', async () => {
    expect(await lab(home.root, ['empty'])).toMatchObject({
      code: 1,
      err: '"empty" has no demo.ts, which is what there is to play\n',
    });
  });

  test('that throws is one sentence, without a stack', async () => {
    const { code, err } = await lab(home.root, ['throws']);
    expect(code).toBe(1);
    expect(err).toBe('demo.ts of throws failed: the server burned down (LABS_DEBUG=1 shows where)\n');
    expect((await lab(home.root, ['throws'], { LABS_DEBUG: '1' })).err).toContain('demo.ts:1');
  });

  test('that awaits what can never happen fails, and says so', async () => {
    const { code, err } = await lab(home.root, ['stuck']);
    expect(code).toBe(1);
    expect(err).toContain('demo.ts of stuck ended in the middle');
  });

  test('whose script needs a shell is refused with the remedy', async () => {
    const { code, err } = await lab(home.root, ['shell']);
    expect(code).toBe(1);
    expect(err).toContain('it must be one `node FILE` command');
  });
});

describe('an example', () => {
  test('is a story of its own', async () => {
    expect(await lab(home.root, ['once', 'second', '--slow'])).toMatchObject({
      code: 0,
      out: 'the second story --slow\n',
    });
  });

  test('that does not exist is wrong usage, and the nearest is named', async () => {
    expect(await lab(home.root, ['once', 'secnd'])).toMatchObject({
      code: 2,
      err: '"once" has no example "secnd"; did you mean "second"?; it has second\n',
    });
    expect((await lab(home.root, ['missing', 'x'])).err).toContain('has no examples');
  });
});

describe('a benchmark', () => {
  test('runs with its flags; a lab without one says how to get one', async () => {
    expect(await lab(home.root, ['bench', 'once', '--rounds', '5'])).toMatchObject({
      code: 0,
      out: 'once is 1.00× itself --rounds 5\n',
    });
    const none = await lab(home.root, ['bench', 'missing']);
    expect(none.code).toBe(2);
    expect(none.err).toContain('has no benchmark');
  });
});

describe('Ctrl-C and sudden death', () => {
  test.each([
    ['in our process', ['patient']],
    ['in a process of its own', ['loaded', 'patient']],
  ])('Ctrl-C reaches a story %s once, and its clean-up is waited for', async (_, words) => {
    const story = await up(words);
    story.child.kill('SIGINT');
    const { code, out, err } = await story.ended;
    expect(err).toBe('');
    expect(out.match(/cleaning up/g)).toHaveLength(1);
    expect(out).toContain('clean\n');
    expect(code).toBe(130);
  });

  test.each([
    ['in our process', ['patient']],
    ['in a process of its own', ['loaded', 'patient']],
    ['that never comes to rest', ['loaded', 'busy']],
  ])('kill -9 of the CLI ends a story %s', async (_, words) => {
    const story = await up(words);
    story.child.kill('SIGKILL');
    await story.ended;
    await until(() => !alive(story.pid), { what: 'the story to end' });
  });

  test('a story that is killed counts as failed', async () => {
    expect(await lab(home.root, ['loaded', 'killed'])).toMatchObject({ code: 1 });
  });
});

describe('the list', () => {
  test('has a line for each lab, under the names of its stage, within 80 columns', async () => {
    const { code, out } = await lab(home.root, []);
    expect(code).toBe(0);
    expect(out.indexOf('语言 Language')).toBeGreaterThan(0);
    expect(out.indexOf('Web 开发')).toBeGreaterThan(out.indexOf('语言 Language'));
    for (const line of out.split('\n')) expect(columns(line)).toBeLessThanOrEqual(80);
    expect(out).toMatch(/^ ● once {5}Once 仅一次 {2}A function that runs at most once/m);
    expect(out).toContain('pnpm lab learn');
  });

  test('says which server is missing', async () => {
    await using other = await house({
      'labs/data/docs/package.json': manifest('docs', 'data', {
        lab: { stage: 'data', title: 'Docs 文档', services: ['oracle'] },
      }),
    });
    const { code, out } = await lab(other.root, []);
    expect(code).toBe(0);
    expect(out).toMatch(/^ ○ docs .*needs oracle$/m);
    expect(out).toContain('pnpm lab doctor');
    const doctor = await lab(other.root, ['doctor']);
    expect(doctor.code).toBe(3);
    expect(doctor.out).toMatch(/○ oracle +missing/);
    expect(doctor.out).toContain('Missing: oracle, for docs');
  });

  test('warns of a lab that it cannot read, and lists the others', async () => {
    await using other = await house({ 'labs/web/broken/package.json': '{' });
    const { code, out, err } = await lab(other.root, []);
    expect(code).toBe(0);
    expect(out).toContain('once');
    expect(err).toContain('warning: labs/web/broken/package.json: is not JSON');
  });
});

describe('wrong usage', () => {
  test.each([
    [['onec'], 'there is no lab or command "onec"; did you mean "once"? `pnpm lab` lists them all\n'],
    [['lern', 'once'], 'there is no lab or command "lern"; did you mean "learn"? `pnpm lab` lists them all\n'],
    [['仅一次'], 'there is no lab or command "仅一次"; did you mean "once"? `pnpm lab` lists them all\n'],
    [['test', 'twice'], 'there is no lab "twice". `pnpm lab` lists them all\n'],
    [['test'], "missing required argument 'name'\n(--help shows what there is)\n"],
    [['learn', 'once', '--onec'], "unknown option '--onec'\n(Did you mean --once?)\n(--help shows what there is)\n"],
    [['--frobnicate'], "unknown option '--frobnicate'\n(--help shows what there is)\n"],
    [['learn', 'once', '--fresh'], '--fresh asks before it sets your attempt aside; without a terminal, add --yes\n'],
  ])('%j is exit code 2 and one sentence', async (words, sentence) => {
    const called = context(home.root, words);
    expect(await cli(called)).toBe(2);
    expect(called.text()).toBe('');
    expect(called.errors()).toBe(sentence);
  });

  test.each([[['--help']], [['once', '--help']], [['help', 'learn']], [['copy', '-h']]])(
    '%j shows help with examples',
    async (words) => {
      const called = context(home.root, words);
      expect(await cli(called)).toBe(0);
      expect(called.text()).toMatch(/^Examples?:\n {2}pnpm lab/m);
    },
  );

  test('a reader that leaves is no error', async () => {
    const listed = startLab(home.root, ['test', 'once']);
    listed.child.stdout.destroy();
    expect((await listed.ended).err).toBe('');
  });

  test('reaches the shell as its exit code', async () => {
    expect(await lab(home.root, ['onec'])).toMatchObject({ code: 2, out: '' });
  });
});
