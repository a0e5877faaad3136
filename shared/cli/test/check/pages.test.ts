import { expect, test } from 'vitest';
import { blocksOf, withBlocks } from '../../src/check/blocks.ts';
import type { DemoRun, Demos } from '../../src/check/demo-runs.ts';
import { readme } from '../../src/check/readme.ts';
import { at, edited, findingsWith } from './fixture.ts';

const page = at('README.md');

const run = (measured: string): DemoRun => ({
  file: 'demo.ts',
  events: [
    { type: 'start', version: 1, title: 'Counter', seed: 1, scene: 0, at: 0 },
    { type: 'scene', title: 'Count', scene: 1, at: 1 },
    { type: 'server', banner: 'redis: embedded 7', inspect: [], scene: 1, at: 2 },
    { type: 'verdict', claim: 'it counts', measured, holds: true, scene: 1, at: 3 },
  ],
  ms: 5,
  inCompany: false,
  outcome: 'told',
  evidence: '',
});
const demos = (...runs: readonly DemoRun[]): Demos => ({
  of: async () => runs,
  together: async () => {},
  known: new Map(),
});
const shown = ['```text', '1  Count', '', '✓ it counts   12 ms', '```'].join('\n');
const filled = edited(page, '<!-- run scene="1" -->\n', `<!-- run scene="1" -->\n${shown}\n`);

test('a page with yesterday’s figures passes', async () => {
  const [finding] = await findingsWith(readme, {}, { demos: demos(run('7 ms')) });
  expect(finding?.what).toContain('shows a run that differs');
  const fresh = await fill();
  expect(await findingsWith(readme, { [page]: fresh.replace('7 ms', '9 ms') }, { demos: demos(run('7 ms')) })).toEqual(
    [],
  );
});

/** The page as `pnpm fix` would write it. */
async function fill(): Promise<string> {
  const { runContent } = await import('../../src/check/blocks.ts');
  const text = filled[page] ?? '';
  const block = blocksOf(text).find(({ kind }) => kind === 'run');
  return block ? withBlocks(text, new Map([[block, runContent(block, [run('7 ms')])]])) : text;
}

const defects: readonly (readonly [
  name: string,
  changes: Record<string, string | undefined>,
  where: string,
  what: string,
  remedy: string,
])[] = [
  [
    'code that has changed',
    edited(at('src/counter.ts'), 'this.#count += 1;', 'this.#count++;'),
    `${page}:19`,
    'quotes src/counter.ts as it no longer is',
    'pnpm fix',
  ],
  [
    'a quoted line that is gone',
    edited(page, 'from="next()"', 'from="last()"'),
    `${page}:19`,
    'no line of src/counter.ts contains from="last()"',
    'mend the marker',
  ],
  [
    'a quoted file that is gone',
    edited(page, 'code src/counter.ts', 'code src/gone.ts'),
    `${page}:19`,
    'quotes src/gone.ts, which does not exist',
    'mend the marker',
  ],
  [
    'a marker that is never closed',
    edited(page, '<!-- /code -->', ''),
    `${page}:19`,
    'is never closed',
    'mend the marker',
  ],
  [
    'a scene that is gone',
    edited(page, 'scene="1"', 'scene="4"'),
    `${page}:14`,
    'demo.ts has no scene 4: it has 1',
    'mend the marker',
  ],
  [
    'an example that is gone',
    edited(page, 'scene="1"', 'example="watchdog"'),
    `${page}:14`,
    'there is no examples/watchdog.ts',
    'mend the marker',
  ],
  [
    'a stale index',
    edited('README.md', 'It counts', 'It counted'),
    'README.md:3',
    'its index is not that of the labs',
    'pnpm fix',
  ],
  ['no index', edited('README.md', '<!-- labs -->', ''), 'README.md', 'has no index', '<!-- labs -->'],
  ['no README', { 'README.md': undefined }, 'README.md', 'is missing', 'write it'],
  [
    'a dead link',
    edited(page, 'pitfalls/off-by-one.ts', 'pitfalls/gone.ts'),
    page,
    'links to pitfalls/gone.ts: there is no such file',
    'mend the link',
  ],
  [
    'a dead anchor',
    edited(page, '#the-idea', '#the-ideas'),
    page,
    'links to #the-ideas: there is no such heading',
    'mend the link',
  ],
  [
    'a missing picture',
    edited(page, 'After this lab', '![votes](picture.svg) After'),
    page,
    'links to picture.svg',
    'mend the link',
  ],
  [
    'a link out of the repository',
    edited(page, 'pitfalls/off-by-one.ts', '../../../../x'),
    page,
    'out of the repository',
    'mend the link',
  ],
  [
    'a dead link in any page',
    { 'docs/guide.md': '[x](../gone.md)\n' },
    'docs/guide.md',
    'links to ../gone.md',
    'mend the link',
  ],
];

test.each(defects)('%s is found, with its remedy', async (_name, changes, where, what, remedy) => {
  expect(await findingsWith(readme, changes, { demos: demos(run('7 ms')) })).toContainEqual({
    where,
    what: expect.stringContaining(what),
    remedy: expect.stringContaining(remedy),
  });
});

test('a run that could not be told says nothing about the page', async () => {
  const broken: DemoRun = { ...run('7 ms'), outcome: 'missing-server' };
  expect(await findingsWith(readme, {}, { demos: demos(broken) })).toEqual([]);
});

test('a marker in a code fence is an example, not a block', () => {
  expect(blocksOf('```md\n<!-- code src/a.ts -->\n```\n')).toEqual([]);
});

test('a block can be filled when it is empty, and filled again', () => {
  const page = 'before\n<!-- labs -->\n<!-- /labs -->\nafter\n';
  const once = withBlocks(page, new Map(blocksOf(page).map((block) => [block, 'index'])));
  expect(once).toBe('before\n<!-- labs -->\nindex\n<!-- /labs -->\nafter\n');
  expect(withBlocks(once, new Map(blocksOf(once).map((block) => [block, 'new\nindex'])))).toBe(
    'before\n<!-- labs -->\nnew\nindex\n<!-- /labs -->\nafter\n',
  );
});
