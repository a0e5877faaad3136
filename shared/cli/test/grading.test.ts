import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import { house, lab, laws, startLab } from './house.ts';

const attempt = 'labs/language/once/attempt/index.ts';

const read = (root: string, file: string) => readFile(join(root, 'labs/language/once', file), 'utf8');

describe('learn', () => {
  test('from the untouched exercise to the last core law, one red law at a time, without a terminal as well', async () => {
    await using home = await house();
    const learning = startLab(home.root, ['learn', 'once']);
    let seen = 0;
    /** The next page that holds `text`. */
    const page = async (text: string) => {
      const at = await until(() => learning.output().indexOf(text, seen) + 1, { what: `"${text}"`, timeoutMs: 15_000 });
      const found = learning.output().slice(seen);
      seen = at;
      return found;
    };

    const first = await page('0 of 2 core laws hold');
    expect(first).toContain(`The exercise is yours now, in ${attempt}:3`);
    expect(first).toContain('2 core laws lead to the idea');
    expect(first).toContain(`✗ 1/2  ${laws.sameResult}\n  once is yours to write\n  at ${attempt}:3`);
    expect(first).not.toContain(laws.atMostOnce);

    const remembers = `export function once<T>(fn: () => T): () => T {
  let value: T | undefined;
  return () => (value ??= fn());
}
const wrong: string = 1;
`;
    await writeFile(join(home.root, attempt), remembers);
    const second = await page('1 of 2 core laws hold');
    expect(second).toContain(`✗ ${attempt}:5:7\n  Type 'number' is not assignable to type 'string'.`);
    expect(second).toContain(`✗ 2/2  ${laws.atMostOnce}\n  expected 2 to be 1`);

    await writeFile(join(home.root, attempt), await read(home.root, 'pitfalls/runs-each-time.ts'));
    expect(await page('0 of 2 core laws hold')).toContain(`✗ 1/2  ${laws.sameResult}\n  ↩ red again: it held before\n`);

    await writeFile(join(home.root, attempt), 'export const once = (;\n');
    expect(await page(`✗ ${attempt}:1:`)).not.toContain('PARSE_ERROR');

    const forgetful = await read(home.root, 'pitfalls/forgets-errors.ts');
    await writeFile(join(home.root, attempt), forgetful);
    const green = await page('would still catch:\n  forgets-errors  an error is not remembered');
    expect(green).toContain('✓ 2/2  every core law holds');
    expect(green).toContain('Now you can say:\n  • what a closure remembers\n  • why `once` is not a cache\n');
    expect(green).toContain('+  let outcome:');
    expect(green).toContain('What you steered clear of:\n  runs-each-time  nothing is remembered');

    learning.child.kill('SIGTERM');
    const { code, out } = await learning.ended;
    expect(code).toBe(0);
    expect(out).toContain('Your attempt stays in labs/language/once/attempt/');
  });

  test('--once tells a script whether the core laws hold, with --all whether every law does', async () => {
    await using home = await house();
    await home.write(attempt, await read(home.root, 'pitfalls/forgets-errors.ts'));
    const core = await lab(home.root, ['learn', 'once', '--once']);
    expect(core.code).toBe(0);
    expect(core.out).toContain('`pnpm lab learn once --all` goes on with the hardening laws.');
    expect((await lab(home.root, ['progress'])).out).toMatch(/✓ once {2}core 2\/2 {2}understood/);
    const all = await lab(home.root, ['learn', 'once', '--once', '--all']);
    expect(all.code).toBe(1);
    expect(all.out).toContain(`✗ hardening 1/1  ${laws.sameError}`);
    expect((await lab(home.root, ['progress'])).out).toMatch(/core 2\/2 · hardening 0\/1 {2}understood/);
  });

  test('every law that holds is a lab solved, and --fresh keeps the old attempt', async () => {
    await using home = await house();
    await home.write(attempt, await read(home.root, 'src/once.ts'));
    const solved = await lab(home.root, ['learn', 'once', '--once', '--all']);
    expect(solved.code).toBe(0);
    expect(solved.out).toContain('✓ 3/3  every law holds: 2 core, 1 hardening');
    expect(solved.out).not.toContain('would still catch');
    expect((await lab(home.root, ['progress'])).out).toMatch(/✓ once .*solved/);

    const fresh = await lab(home.root, ['learn', 'once', '--once', '--fresh', '--yes']);
    expect(fresh.code).toBe(1);
    const kept = /The old attempt is kept in (\S+)/.exec(fresh.out)?.[1] ?? '';
    expect(await readFile(join(home.root, kept, 'index.ts'), 'utf8')).toContain('let outcome');
    expect((await lab(home.root, ['progress'])).out).toMatch(/core 0\/2 · hardening 1\/1 {2}solved/);
  });

  test('an attempt without its index.ts is not replaced behind the back of its owner', async () => {
    await using home = await house({ 'attempt/notes.ts': 'export {};' });
    const { code, err } = await lab(home.root, ['learn', 'once', '--once']);
    expect(code).toBe(1);
    expect(err).toContain('attempt/ of "once" holds files but no index.ts');
  });
});

describe('test', () => {
  test('lists the laws that hold the given words, with the evidence of those that a pitfall breaks', async () => {
    await using home = await house();
    const { code, out } = await lab(home.root, ['test', 'once', '--impl', 'forgets-errors', 'every', 'caller']);
    expect(code).toBe(1);
    expect(out).toMatch(
      /^Once 仅一次 pitfalls\/forgets-errors\.ts\nCore laws\n {2}✓ every caller gets the result.*\nHardening laws\n/,
    );
    expect(out).toContain(
      `  ✗ ${laws.sameError}\n      expected [Function] to throw error including 'run 1' but got 'run 2'`,
    );
    expect(out).toContain('1 core law: 1 hold · 1 hardening law: 1 broken');
    expect(out).not.toContain(laws.atMostOnce);
  });

  test('with --core runs the core laws alone, in teaching order', async () => {
    await using home = await house();
    const { code, out } = await lab(home.root, ['test', 'once', '--core', '--impl', 'forgets-errors']);
    expect(code).toBe(0);
    expect(out.split('\n').slice(0, 5)).toEqual([
      'Once 仅一次 pitfalls/forgets-errors.ts',
      'Core laws',
      `  ✓ ${laws.sameResult}`,
      `  ✓ ${laws.atMostOnce}`,
      expect.stringMatching(/^2 core laws: 2 hold {2}/),
    ]);
  });

  test('a lab that does not tell its core laws is judged, and learned, by all of them', async () => {
    await using home = await house({ 'exercise/hints.md': `# Hints\n\n## ${laws.sameError}\n\nWhy?\n` });
    const { out } = await lab(home.root, ['test', 'once']);
    expect(out).toContain(`\n  ✓ ${laws.atMostOnce}\n  ✓ ${laws.sameResult}\n`);
    expect(out).toContain('3 laws: 3 hold');
    const core = await lab(home.root, ['test', 'once', '--core']);
    expect(core).toMatchObject({ code: 2, err: expect.stringContaining('"once" does not name its core laws yet') });
    expect((await lab(home.root, ['learn', 'once', '--once'])).out).toContain('0 of 3 laws hold');
    expect((await lab(home.root, ['progress'])).out).toContain('0/3 laws');
  });

  test('an implementation that does not exist is wrong usage, with what there is', async () => {
    await using home = await house();
    const missing = await lab(home.root, ['test', 'once', '--impl', 'attempt']);
    expect(missing).toMatchObject({
      code: 2,
      err: '"once" has no attempt/index.ts yet; `pnpm lab learn once` makes it\n',
    });
    expect((await lab(home.root, ['test', 'once', '--impl', 'forgets'])).err).toContain(
      'did you mean "forgets-errors"?',
    );
  });
});

describe('soak', () => {
  test('a round that fails names its seed, and the command that runs it again', async () => {
    await using home = await house({
      'test/seed.test.ts': `import { expect, test } from 'vitest';
test('the seed is odd', () => { expect(Number(process.env.LAB_SEED) % 2).toBe(1); });
`,
    });
    const even = await lab(home.root, ['soak', 'once', '--seed', '8']);
    expect(even.code).toBe(1);
    expect(even.out).toContain('✗ round 1, seed 8\n  ✗ the seed is odd');
    expect(even.out).toContain('again: pnpm lab soak once --seed 8\n');
  });

  test('a law that catches its pitfall by luck is a round that fails, with the name of the pitfall', async () => {
    await using home = await house();
    const deterministic = await lab(home.root, ['soak', 'once', '--seed', '8', '--pitfalls']);
    expect(deterministic.out).toContain('1 round, every law held in each');

    await home.write(
      'labs/language/once/pitfalls/forgets-errors.ts',
      `// Flaw: an error is forgotten in two calls of three.
// Caught by: ${laws.sameError}
import { once as reference } from '../src/index.ts';

let made = 0;
export function once<T>(fn: () => T): () => T {
  return ++made % 3 === 0 ? reference(fn) : fn;
}
`,
    );
    const lucky = await lab(home.root, ['soak', 'once', '--seed', '8', '--pitfalls']);
    expect(lucky.code).toBe(1);
    expect(lucky.out).toContain(`✗ forgets-errors slipped past "${laws.sameError}" in one of 10 attempts`);
    expect(lucky.out).toContain('again: pnpm lab soak once --seed 8 --pitfalls');
  });
});
