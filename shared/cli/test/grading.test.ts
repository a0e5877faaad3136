import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import { house, lab, laws, startLab } from './house.ts';

const attempt = 'labs/language/once/attempt/index.ts';

const read = (root: string, file: string) => readFile(join(root, 'labs/language/once', file), 'utf8');

describe('learn', () => {
  test('from the untouched exercise to green, one red law at a time, without a terminal as well', async () => {
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

    const first = await page('0 of 3 laws hold');
    expect(first).toContain(`The exercise is yours now, in ${attempt}:3`);
    expect(first).toContain(`✗ 1/3  ${laws.atMostOnce}\n  once is yours to write\n  at ${attempt}:3`);
    expect(first).not.toContain(laws.sameError);

    const pitfall = await read(home.root, 'pitfalls/forgets-errors.ts');
    await writeFile(join(home.root, attempt), `${pitfall}const wrong: string = 1;\n`);
    const second = await page('2 of 3 laws hold');
    expect(second).toContain(`✗ ${attempt}:11:7\n  Type 'number' is not assignable to type 'string'.`);
    expect(second).toContain(`✗ 3/3  ${laws.sameError}`);

    await writeFile(join(home.root, attempt), 'export const once = (;\n');
    expect(await page(`✗ ${attempt}:1:`)).not.toContain('PARSE_ERROR');

    const reference = await read(home.root, 'src/once.ts');
    await writeFile(join(home.root, attempt), reference.replaceAll('outcome', 'result'));
    const green = await page('What you steered clear of');
    expect(green).toContain('✓ 3/3  every law holds');
    expect(green).toContain('+  let outcome:');
    await page('forgets-errors  an error is not remembered');

    learning.child.kill('SIGTERM');
    const { code, out } = await learning.ended;
    expect(code).toBe(0);
    expect(out).toContain('Your attempt stays in labs/language/once/attempt/');
  });

  test('--once tells a script whether every law holds, and --fresh keeps the old attempt', async () => {
    await using home = await house();
    await home.write(attempt, await read(home.root, 'src/once.ts'));
    expect((await lab(home.root, ['learn', 'once', '--once'])).code).toBe(0);
    expect((await lab(home.root, ['progress'])).out).toMatch(/✓ once .*solved/);

    const fresh = await lab(home.root, ['learn', 'once', '--once', '--fresh', '--yes']);
    expect(fresh.code).toBe(1);
    const kept = /The old attempt is kept in (\S+)/.exec(fresh.out)?.[1] ?? '';
    expect(await readFile(join(home.root, kept, 'index.ts'), 'utf8')).toContain('let outcome');
    expect((await lab(home.root, ['progress'])).out).toMatch(/0\/3 laws .*solved/);
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
    expect(out).toMatch(/^Once 仅一次 pitfalls\/forgets-errors\.ts\n {2}✓ every caller gets the result/);
    expect(out).toContain(
      `  ✗ ${laws.sameError}\n      expected [Function] to throw error including 'run 1' but got 'run 2'`,
    );
    expect(out).toContain('2 laws: 1 hold, 1 broken');
    expect(out).not.toContain(laws.atMostOnce);
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
