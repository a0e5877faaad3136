import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import { house, lab, laws, startLab } from './house.ts';

const attempt = 'labs/language/once/attempt/index.ts';

describe('learn', () => {
  test('from the untouched exercise to green: one red law at a time, the attempt never overwritten', async () => {
    await using home = await house();
    const learn = () => lab(home.root, ['learn', 'once', '--once']);

    const first = await learn();
    expect(first.code).toBe(1);
    expect(first.out).toContain(`the exercise is yours now, in ${attempt}:3`);
    expect(first.out).toContain(`✗ 1/3  ${laws.atMostOnce}\n  once is yours to write\n  at ${attempt}:3`);
    expect(first.out).not.toContain(laws.sameError);

    const pitfall = await readFile(join(home.root, 'labs/language/once/pitfalls/forgets-errors.ts'), 'utf8');
    await writeFile(join(home.root, attempt), `${pitfall}const wrong: string = 1;\n`);
    const second = await learn();
    expect(second.code).toBe(1);
    expect(second.out).not.toContain('is yours now');
    expect(second.out).toContain(`✗ ${attempt}:11:7\n  Type 'number' is not assignable to type 'string'.`);
    expect(second.out).toContain(`✗ 3/3  ${laws.sameError}`);
    expect((await lab(home.root, ['progress'])).out).toContain('2/3 laws');

    const reference = await readFile(join(home.root, 'labs/language/once/src/once.ts'), 'utf8');
    await writeFile(join(home.root, attempt), reference.replaceAll('outcome', 'result'));
    const third = await learn();
    expect(third.code).toBe(0);
    expect(third.out).toContain('✓ 3/3  every law holds');
    expect(third.out).toContain('+  let outcome:');
    expect(third.out).toContain('forgets-errors  an error is not remembered');
    expect((await lab(home.root, ['progress'])).out).toMatch(/✓ once .*solved/);

    const fresh = await lab(home.root, ['learn', 'once', '--once', '--fresh', '--yes']);
    expect(fresh.code).toBe(1);
    const kept = /The old attempt is kept in (\S+)/.exec(fresh.out)?.[1] ?? '';
    expect(await readFile(join(home.root, kept, 'index.ts'), 'utf8')).toContain('result');
  });

  test('without a terminal it goes on watching, and a signal ends it in order', async () => {
    await using home = await house();
    const learning = startLab(home.root, ['learn', 'once']);
    await until(() => learning.output().includes('✗ 1/3'), { what: 'the first red law', timeoutMs: 10_000 });
    await writeFile(
      join(home.root, attempt),
      await readFile(join(home.root, 'labs/language/once/src/once.ts'), 'utf8'),
    );
    await until(() => learning.output().includes('✓ 3/3'), { what: 'green', timeoutMs: 10_000 });
    learning.child.kill('SIGTERM');
    const { code, out } = await learning.ended;
    expect(code).toBe(0);
    expect(out).toContain('Your attempt stays in labs/language/once/attempt/');
  }, 15_000);

  test('code that does not parse is named with its line, once', async () => {
    await using home = await house({ 'attempt/index.ts': 'export const once = (;\n' });
    const { code, out } = await lab(home.root, ['learn', 'once', '--once']);
    expect(code).toBe(1);
    expect(out).toContain(`${attempt}:1:`);
    expect(out).not.toContain('PARSE_ERROR');
  });

  test('an attempt without its index.ts is not replaced behind the back of its owner', async () => {
    await using home = await house({ 'attempt/notes.ts': 'export {};' });
    const { code, err } = await lab(home.root, ['learn', 'once', '--once']);
    expect(code).toBe(1);
    expect(err).toContain('attempt/ of "once" holds files but no index.ts');
  });
});

describe('test', () => {
  test('lists the laws of the reference; words choose among them', async () => {
    await using home = await house();
    const { code, out } = await lab(home.root, ['test', 'once', 'every', 'caller']);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^Once 仅一次 src\/index\.ts\n {2}✓ every caller gets the result.*\n {2}✓ every caller gets the error/,
    );
    expect(out).toMatch(/2 laws: 2 hold/);
    expect(out).not.toContain(laws.atMostOnce);
  });

  test('shows the evidence of a law that a pitfall breaks', async () => {
    await using home = await house();
    const { code, out } = await lab(home.root, ['test', 'once', '--impl', 'forgets-errors']);
    expect(code).toBe(1);
    expect(out).toContain(
      `  ✗ ${laws.sameError}\n      expected [Function] to throw error including 'run 1' but got 'run 2'`,
    );
    expect(out).toContain('3 laws: 2 hold, 1 broken');
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
  test('a round that fails names its seed, and that seed runs the same round again', async () => {
    await using home = await house({
      'test/seed.test.ts': `import { expect, test } from 'vitest';
test('the seed is odd', () => { expect(Number(process.env.LAB_SEED) % 2).toBe(1); });
`,
    });
    const odd = await lab(home.root, ['soak', 'once', '--seed', '7']);
    expect(odd).toMatchObject({
      code: 0,
      out: expect.stringContaining('✓ round 1  seed 7, 4 laws\n1 round, every law held in each'),
    });
    const even = await lab(home.root, ['soak', 'once', '--seed', '8']);
    expect(even.code).toBe(1);
    expect(even.out).toContain('✗ round 1, seed 8\n  ✗ the seed is odd');
    expect(even.out).toContain('again: pnpm lab soak once --seed 8\n');
  });
});
