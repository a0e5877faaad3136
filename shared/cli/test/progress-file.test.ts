import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Count, ProgressFile, type Run } from '../src/progress-file.ts';
import { house } from './house.ts';

const never = (sentence: string) => expect.unreachable(sentence);
const monday = new Date('2026-11-23T08:00:00Z');
const tuesday = new Date('2026-11-24T08:00:00Z');
const wednesday = new Date('2026-11-25T08:00:00Z');

const run = (core: Count, hardening?: Count): Run => ({
  core,
  ...(hardening ? { hardening } : {}),
  understood: false,
  solved: false,
});

test('progress is kept from run to run, and git ignores it', async () => {
  await using home = await house();
  await new ProgressFile(home.root, never).started('once', monday);
  await new ProgressFile(home.root, never).record('once', run({ green: 1, total: 2 }), tuesday);
  expect(Object.fromEntries(await new ProgressFile(home.root, never).read())).toEqual({
    once: { started: monday.toISOString(), core: { green: 1, total: 2 }, hardening: { green: 0, total: 0 } },
  });
  expect(await readFile(join(home.root, '.labs/.gitignore'), 'utf8')).toBe('*\n');
});

test('the days on which a lab was understood and solved stay, whatever breaks later', async () => {
  await using home = await house();
  const file = new ProgressFile(home.root, never);
  await file.record('once', { ...run({ green: 2, total: 2 }), understood: true }, monday);
  const all = { ...run({ green: 2, total: 2 }, { green: 1, total: 1 }), understood: true };
  await file.record('once', { ...all, solved: true }, tuesday);
  await file.record('once', run({ green: 1, total: 2 }, { green: 0, total: 1 }), wednesday);
  expect((await file.read()).get('once')).toEqual({
    started: monday.toISOString(),
    core: { green: 1, total: 2 },
    hardening: { green: 0, total: 1 },
    understood: monday.toISOString(),
    solved: tuesday.toISOString(),
  });
});

test('a run of the core laws alone leaves what is known of the hardening laws', async () => {
  await using home = await house();
  const file = new ProgressFile(home.root, never);
  await file.record('once', run({ green: 2, total: 2 }, { green: 12, total: 38 }), monday);
  await file.record('once', run({ green: 1, total: 2 }), tuesday);
  expect((await file.read()).get('once')).toMatchObject({
    core: { green: 1, total: 2 },
    hardening: { green: 12, total: 38 },
  });
});

test('a file from before there were core laws is read; its count is kept until the core laws are counted', async () => {
  const old = { started: monday.toISOString(), green: 20, total: 47, solved: tuesday.toISOString() };
  await using home = await house({
    'labs/../.labs/progress.json': JSON.stringify({ version: 1, labs: { once: old } }),
  });
  const file = new ProgressFile(home.root, never);
  const { started, solved } = old;
  expect((await file.read()).get('once')).toEqual({
    started,
    core: { green: 0, total: 0 },
    hardening: { green: 20, total: 47 },
    solved,
  });
  await file.record('once', run({ green: 5, total: 9 }), wednesday);
  expect((await file.read()).get('once')).toEqual({
    started,
    core: { green: 5, total: 9 },
    hardening: { green: 0, total: 0 },
    solved,
  });
});

test.each([
  '{"version":1,"la',
  '[]',
  '{"labs":{"once":{"green":"3"}}}',
  '{"labs":{"once":{"started":"x","core":{}}}}',
  '',
])('a damaged file is set aside, not lost, and the learner is told: %s', async (content) => {
  await using home = await house({ 'labs/../.labs/progress.json': content });
  const told: string[] = [];
  const file = new ProgressFile(home.root, (sentence) => told.push(sentence));
  expect(await file.read()).toEqual(new Map());
  expect(told).toEqual([expect.stringContaining('.labs/progress.json was damaged; it is kept as')]);
  const kept = (await readdir(join(home.root, '.labs'))).find((name) => name.includes('damaged')) ?? '';
  expect(await readFile(join(home.root, '.labs', kept), 'utf8')).toBe(content);
});

test('two sessions that write at once leave a whole file', async () => {
  await using home = await house();
  const file = new ProgressFile(home.root, never);
  await Promise.all(['a', 'b', 'c', 'd'].map((lab) => file.record(lab, run({ green: 1, total: 1 }), monday)));
  expect((await file.read()).size).toBe(4);
});
