import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maskFigures, parseEvent, renderPlain } from '../src/read.ts';

const DEMO = join(import.meta.dirname, 'demos/story.ts');
let dir = '';
let count = 0;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'story-'));
});
afterAll(async () => {
  // A demo that hangs must not outlive the test that it failed.
  for (const child of running) child.kill('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** What the demo's servers and `finally` blocks wrote down. */
  readonly log: string[];
}

interface Running {
  readonly ended: Promise<Ended>;
  /** Resolves once this stands on stdout. */
  saw(text: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
  closeStdout(): void;
}

function start(story: string, args: readonly string[] = [], env: Record<string, string> = {}, demo = DEMO): Running {
  const log = join(dir, `log-${count++}`);
  const { NO_COLOR: _no, FORCE_COLOR: _force, ...inherited } = process.env;
  const child = spawn(process.execPath, [demo, ...args], {
    // The same files are compiled for every run.
    env: { ...inherited, NODE_COMPILE_CACHE: join(dir, 'cache'), STORY: story, LOG: log, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let [out, err] = ['', ''];
  const watchers = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk;
    for (const look of watchers) look();
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err += chunk;
  });
  const ended = new Promise<Ended>((done, fail) => {
    child.on('error', fail);
    child.on('close', async (code) => {
      running.delete(child);
      const lines = existsSync(log) ? (await readFile(log, 'utf8')).trim().split('\n') : [];
      done({ code, out, err, log: lines });
    });
  });
  return {
    ended,
    saw: (text) =>
      new Promise((done, fail) => {
        const look = () => {
          if (!out.includes(text)) return;
          watchers.delete(look);
          done();
        };
        watchers.add(look);
        look();
        ended.then(() => fail(new Error(`ended without saying ${JSON.stringify(text)}:\n${out}${err}`)), fail);
      }),
    signal: (name) => child.kill(name),
    closeStdout: () => child.stdout.destroy(),
  };
}

function run(
  story: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
  demo = DEMO,
): Promise<Ended> {
  return start(story, args, env, demo).ended;
}

describe.concurrent('the end of a story', () => {
  test('is 0 when all verdicts hold, and its servers stop in reverse order', async () => {
    const { code, out, log } = await run('holds');
    expect(out).toContain('✓ 1 of 1 lesson came out');
    expect(out).toContain('pnpm lab learn story');
    expect(code).toBe(0);
    expect(log).toEqual(['stopped postgres', 'stopped redis']);
  });

  test('is 1 when a verdict fails', async () => {
    const { code, out } = await run('fails');
    expect(out).toContain('✗ it is not — 2 of 2');
    expect(code).toBe(1);
  });

  test('is 1 without any verdict: such a story proves nothing', async () => {
    const { code, out } = await run('silent');
    expect(out).toContain('proves nothing');
    expect(code).toBe(1);
  });

  test('is 1 when a scene throws: the error is shown once, with its cause and place; the story stops; servers too', async () => {
    const { code, out, log } = await run('throws');
    expect(out.match(/TypeError: the scene broke/g)).toHaveLength(1);
    expect(out).toContain('because: Error: a deeper cause');
    expect(out).toMatch(/at .*demos\/story\.ts:\d+:\d+/);
    expect(out).not.toContain('node:internal');
    expect(code).toBe(1);
    expect(log).toEqual(['stopped redis']);
  });

  test('is 1 when a scene is not awaited, or begins inside another', async () => {
    const [unawaited, nested] = await Promise.all([run('unawaited'), run('nested')]);
    expect(unawaited.out).toContain('ended inside scene "Nobody waits"');
    expect(unawaited.code).toBe(1);
    expect(nested.out).toContain('scene "Inner" begins inside scene "Outer"');
    expect(nested.code).toBe(1);
  });

  test('is 3 when a server is missing: its message alone, no stack', async () => {
    const { code, out, log } = await run('missing');
    expect(out).toContain('  ✗ redis is not installed\n      apt-get install redis-server\n');
    expect(out).not.toContain('  at ');
    expect(code).toBe(3);
    expect(log).toEqual(['stopped postgres']);
  });

  test('is 1 when a promise is rejected that nobody awaits, or a callback throws; servers are stopped', async () => {
    const [rejection, exception] = await Promise.all([run('rejection'), run('exception')]);
    expect(rejection.out).toContain('nobody caught this');
    expect(exception.out).toContain('thrown from a timer');
    for (const { code, log } of [rejection, exception]) {
      expect(code).toBe(1);
      expect(log).toEqual(['stopped redis']);
    }
  });

  test('is 1 when the story waits for what can never happen, and says in which scene', async () => {
    const { code, out, log } = await run('stuck');
    expect(out).toContain('scene "Waits" waits for a promise that nothing can settle');
    expect(code).toBe(1);
    expect(log).toEqual(['stopped redis']);
  });

  test('is 1 when a server does not stop: said, without masking what the body threw, and the others stop', async () => {
    const [alone, masked] = await Promise.all([run('undisposable'), run('undisposable', [], { BODY: 'throws' })]);
    for (const { code, out, log } of [alone, masked]) {
      expect(out).toContain('postgres ×1: simulated: failed to stop: it will not stop');
      expect(code).toBe(1);
      expect(log).toEqual(['stopped redis']);
    }
    expect(masked.out).toContain('the body broke first');
  });

  test('comes even when the demo leaves something open, which is named', async () => {
    const { code, err } = await run('leaks');
    expect(err).toContain('TCPServerWrap still holds the process open');
    expect(code).toBe(0);
  });

  test('names what a demo got wrong: a second picture, a text that is not there, an endless span', async () => {
    const [twice, lost, open] = await Promise.all([run('twice'), run('lost'), run('open')]);
    expect(twice.out).toContain('"Second" and "First" are both marked picture: true');
    expect(lost.out).toContain('code("queues.ts"): no line contains "no line says this" (from)');
    expect(open.out).toContain('Infinity is no moment');
    expect([twice.code, lost.code, open.code]).toEqual([1, 1, 1]);
  });
});

describe.concurrent('Ctrl-C', () => {
  test('aborts the story, lets it unwind, stops the servers, and exits 130', async () => {
    const story = start('waits');
    await story.saw('ready');
    story.signal('SIGINT');
    const { code, out, log } = await story.ended;
    expect(out).toContain('○ stopped');
    expect(out).not.toContain('✗');
    expect(code).toBe(130);
    expect(log).toEqual(['unwound', 'stopped postgres', 'stopped redis']);
  });

  test('stops a server that is still starting', async () => {
    const story = start('starting');
    await story.saw('ready');
    story.signal('SIGINT');
    const { code, log } = await story.ended;
    expect(code).toBe(130);
    expect(log).toEqual(['stopped slow']);
  });

  test('that arrives twice at once, as a package manager passes it on, is one', async () => {
    const story = start('waits');
    await story.saw('ready');
    story.signal('SIGINT');
    story.signal('SIGINT');
    const { code, log } = await story.ended;
    expect(code).toBe(130);
    expect(log).toContain('stopped redis');
  });

  test('pressed again exits at once, whatever hangs', async () => {
    const story = start('deaf');
    await story.saw('ready');
    story.signal('SIGINT');
    const again = setInterval(() => story.signal('SIGINT'), 350);
    const { code, out, log } = await story.ended;
    clearInterval(again);
    expect(code).toBe(130);
    expect(out).not.toContain('stopped:');
    expect(log).toEqual([]);
  });

  test('SIGTERM cleans up as well, and exits 143', async () => {
    const story = start('waits');
    await story.saw('ready');
    story.signal('SIGTERM');
    const { code, log } = await story.ended;
    expect(code).toBe(143);
    expect(log).toContain('stopped redis');
  });
});

describe.concurrent('--hold', () => {
  test('keeps the servers up, says how to look inside, and exits as the story did', async () => {
    for (const [name, code] of [
      ['holds', 0],
      ['throws', 1],
    ] as const) {
      const story = start(name, ['--hold']);
      await story.saw('Ctrl-C');
      await story.saw('redis-cli -p 1234');
      story.signal('SIGINT');
      const ended = await story.ended;
      expect(ended.code).toBe(code);
      expect(ended.log.at(-1)).toBe('stopped redis');
    }
  });

  test('holds nothing when there is no server', async () => {
    const { code } = await run('fails', ['--hold']);
    expect(code).toBe(1);
  });
});

describe.concurrent('a pipe', () => {
  test('that is closed early neither hangs nor crashes the story, and its servers stop', async () => {
    const story = start('chatty');
    await story.saw('line 5');
    story.closeStdout();
    const { code, err, log } = await story.ended;
    expect(err).toBe('');
    expect(code).toBe(141);
    expect(log).toEqual(['stopped redis']);
  });

  test('gets every line before the process ends', async () => {
    const { code, out } = await run('long');
    expect(code).toBe(0);
    expect(out).toContain('line 2999');
    expect(out).toContain('1 of 1 lesson came out');
  });

  test('gets no escape codes, unless --color or FORCE_COLOR asks for them; NO_COLOR goes before FORCE_COLOR', async () => {
    const coloured = async (args: string[], env: Record<string, string> = {}) =>
      (await run('fails', args, env)).out.includes('\u001b[');
    expect(
      await Promise.all([
        coloured([]),
        coloured(['--color']),
        coloured([], { FORCE_COLOR: '1' }),
        coloured([], { FORCE_COLOR: '1', NO_COLOR: '1' }),
        coloured(['--no-color'], { FORCE_COLOR: '1' }),
      ]),
    ).toEqual([false, true, true, false, false]);
  });

  test('gets no line wider than --width', async () => {
    const { out } = await run('long', ['--width', '44']);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(44);
  });
});

describe.concurrent('--json', () => {
  test('puts events alone on stdout, one a line, whatever the demo logs', async () => {
    const { code, out, err } = await run('holds', ['--json']);
    const events = out.trim().split('\n').map(parseEvent);
    expect(code).toBe(0);
    expect(events.at(0)).toMatchObject({ type: 'start', scene: 0 });
    expect(events.at(-1)).toMatchObject({ type: 'end', scene: 0, exitCode: 0, held: 1, verdicts: 1, outcome: 'told' });
    expect(events.filter((e) => e.scene === 1).map((e) => e.type)).toEqual(['scene', 'progress', 'bars', 'verdict']);
    expect(events.find((e) => e.type === 'bars')).toMatchObject({ items: [{ label: 'a', value: null }] });
    expect(err).toContain('a library logs');
  });

  test('ends with the end event, however the story ends', async () => {
    for (const [name, exitCode] of [
      ['throws', 1],
      ['missing', 3],
      ['stuck', 1],
    ] as const) {
      const { out } = await run(name, ['--json']);
      const events = out.trim().split('\n').map(parseEvent);
      expect(events.filter((e) => e.type === 'error')).toHaveLength(1);
      expect(events.at(-1)).toMatchObject({ type: 'end', exitCode, outcome: 'failed' });
    }
  });
});

test('the README shows what the demo prints', async () => {
  const readme = await readFile(join(import.meta.dirname, '../README.md'), 'utf8');
  const shown = /<!-- run scene="3" -->\n```text\n([\s\S]*?)\n```/.exec(readme)?.[1] ?? '';
  const { out } = await run('holds', ['--json'], {}, join(import.meta.dirname, 'demos/queue.ts'));
  const events = out.trim().split('\n').map(parseEvent);
  const printed = renderPlain(
    events.filter((e) => e.scene === 3),
    80,
  );
  expect(maskFigures(shown)).toBe(maskFigures(printed));
});

describe.concurrent('flags', () => {
  test('an unknown one is refused before anything starts, with the nearest', async () => {
    const { code, out, err, log } = await run('holds', ['--sed', '3']);
    expect(err).toContain('unknown flag --sed: did you mean --seed?');
    expect([code, out, log]).toEqual([2, '', []]);
  });

  test('--help lists them all and tells no story', async () => {
    const { code, out, log } = await run('holds', ['--help']);
    for (const flag of ['--json', '--slow', '--hold', '--seed', '--svg', '--width', '--no-color'])
      expect(out).toContain(flag);
    expect([code, log]).toEqual([0, []]);
  });

  test('--seed repeats the randomness; without it a seed is drawn and printed', async () => {
    const all = await Promise.all([
      run('holds', ['--seed', '7']),
      run('holds', ['--seed', '7']),
      run('holds'),
      run('holds'),
    ]);
    const measured = all.map(({ out }) => /it is so — (\S+)/.exec(out)?.[1]);
    expect(new Set(measured).size).toBe(3);
    expect(all[0]?.out).toContain('seed 7 ·');
    const drawn = /seed (\d+) ·/.exec(all[1]?.out ?? '')?.[1] ?? '';
    const again = await run('holds', ['--seed', drawn]);
    expect(again.out).toContain(`it is so — ${measured[1]}`);
  });

  test('--svg writes the picture of a story that came out, and nothing of another', async () => {
    const folder = join(dir, 'pictures/new');
    const good = await run('holds', ['--svg', folder]);
    expect(good.code).toBe(0);
    expect(await readFile(join(folder, 'picture.svg'), 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
    const none = await run('long', ['--svg', join(dir, 'none')]);
    expect(none.out).toContain('no chart of this story is marked `picture: true`');
    expect(none.code).toBe(1);
    const failed = await run('fails', ['--svg', join(dir, 'failed')]);
    expect(failed.out).toContain('picture.svg is not written');
    expect(existsSync(join(dir, 'failed'))).toBe(false);
  });

  test('Ctrl-C ends the pauses of --slow as well', async () => {
    const story = start('fails', ['--slow']);
    await story.saw('it is so');
    story.signal('SIGINT');
    const { code } = await story.ended;
    expect(code).toBe(130);
  });
});
