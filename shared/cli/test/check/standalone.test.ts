import { expect, test } from 'vitest';
import { standalone, standaloneGate } from '../../src/check/standalone.ts';
import { at, edited, findingsWith } from './fixture.ts';

test('src with all that it declares passes', async () => {
  expect(await findingsWith(standalone)).toEqual([]);
});

test('src that needs an undeclared package neither compiles nor loads alone', async () => {
  const findings = await findingsWith(standalone, edited(at('package.json'), '"picocolors": "catalog:"', ''));
  expect(findings).toEqual([
    {
      where: `${at('src/counter.ts')}:1`,
      what: expect.stringContaining('does not compile on its own'),
      remedy: expect.stringContaining('declare'),
    },
    {
      where: at('src/index.ts'),
      what: expect.stringContaining('cannot be imported on its own'),
      remedy: expect.stringContaining('declare'),
    },
  ]);
});

test('src that keeps a process alive by its mere import is found', async () => {
  const changes = edited(at('src/index.ts'), 'export', 'setInterval(() => undefined, 1000);\nexport');
  expect(await findingsWith(standaloneGate(800), changes)).toEqual([
    {
      where: at('src/index.ts'),
      what: 'importing it keeps the process alive',
      remedy: expect.stringContaining('when they are asked for'),
    },
  ]);
});

test('a declared dependency that is not installed is found', async () => {
  const changes = edited(at('package.json'), '"picocolors"', '"no-such-package-here": "catalog:",\n    "picocolors"');
  expect(await findingsWith(standalone, changes)).toEqual([
    {
      where: at('package.json'),
      what: 'declares no-such-package-here, which is not installed',
      remedy: expect.stringContaining('install'),
    },
  ]);
});
