import { expect, test } from 'vitest';
import { examples } from '../../src/check/examples.ts';
import { at, edited, findingsWith } from './fixture.ts';

const page = at('README.md');
const place = '## Pitfalls\n';
const withExample = (...lines: readonly string[]) => edited(page, place, `${[...lines, '', place].join('\n')}`);

test('an example that uses what the lab exports, and what is given above it, passes', async () => {
  const changes = withExample(
    '<!-- given declare const label: string; -->',
    '```ts',
    'const counter: Counter = new Counter({ label });',
    "const [one] = pair(counter.next(), 'a');",
    '```',
  );
  expect(await findingsWith(examples, changes)).toEqual([]);
});

test('an example that does not compile is found at its line', async () => {
  const changes = withExample('```ts', "const counter = new Counter({ label: 'c' });", 'counter.previous();', '```');
  const line = (changes[page] ?? '').split('\n').indexOf('counter.previous();') + 1;
  expect(await findingsWith(examples, changes)).toEqual([
    { where: `${page}:${line}`, what: expect.stringContaining('previous'), remedy: expect.stringContaining('copy') },
  ]);
});

test('a name that an example takes for granted has to be given', async () => {
  const [finding, ...others] = await findingsWith(
    examples,
    withExample('```ts', 'new Counter({ label: somewhere });', '```'),
  );
  expect(others).toEqual([]);
  expect(finding).toMatchObject({
    what: expect.stringContaining('somewhere'),
    remedy: expect.stringContaining('given'),
  });
});

test('an example in a doc comment is compiled too', async () => {
  const comment =
    "/**\n * Counts.\n *\n * ```ts\n * new Counter({ label: 'c' }).next();\n * new Counter({ name: 'c' });\n * ```\n */\n";
  const changes = edited(at('src/counter.ts'), 'export class Counter', `${comment}export class Counter`);
  const line = (changes[at('src/counter.ts')] ?? '').split('\n').indexOf(" * new Counter({ name: 'c' });") + 1;
  const findings = await findingsWith(examples, changes);
  expect(findings.map(({ where }) => where)).toEqual([`${at('src/counter.ts')}:${line}`]);
});
