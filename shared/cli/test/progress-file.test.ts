import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ProgressFile } from '../src/progress-file.ts';
import { house } from './house.ts';

const never = (sentence: string) => expect.unreachable(sentence);
const monday = new Date('2026-11-23T08:00:00Z');
const tuesday = new Date('2026-11-24T08:00:00Z');

test('progress is kept from run to run, and git ignores it', async () => {
  await using home = await house();
  await new ProgressFile(home.root, never).started('once', monday);
  await new ProgressFile(home.root, never).record('once', { green: 2, total: 3, solved: false }, tuesday);
  expect(Object.fromEntries(await new ProgressFile(home.root, never).read())).toEqual({
    once: { started: monday.toISOString(), green: 2, total: 3 },
  });
  expect(await readFile(join(home.root, '.labs/.gitignore'), 'utf8')).toBe('*\n');
});

test('the day on which a lab was solved stays, whatever breaks later', async () => {
  await using home = await house();
  const file = new ProgressFile(home.root, never);
  await file.record('once', { green: 3, total: 3, solved: true }, monday);
  await file.record('once', { green: 1, total: 3, solved: false }, tuesday);
  expect((await file.read()).get('once')).toEqual({
    started: monday.toISOString(),
    green: 1,
    total: 3,
    solved: monday.toISOString(),
  });
});

test.each(['{"version":1,"la', '[]', '{"labs":{"once":{"green":"3"}}}', ''])(
  'a damaged file is set aside, not lost, and the learner is told: %s',
  async (content) => {
    await using home = await house({ 'labs/../.labs/progress.json': content });
    const told: string[] = [];
    const file = new ProgressFile(home.root, (sentence) => told.push(sentence));
    expect(await file.read()).toEqual(new Map());
    expect(told).toEqual([expect.stringContaining('.labs/progress.json was damaged; it is kept as')]);
    const kept = (await readdir(join(home.root, '.labs'))).find((name) => name.includes('damaged')) ?? '';
    expect(await readFile(join(home.root, '.labs', kept), 'utf8')).toBe(content);
  },
);

test('two sessions that write at once leave a whole file', async () => {
  await using home = await house();
  const file = new ProgressFile(home.root, never);
  await Promise.all(['a', 'b', 'c', 'd'].map((lab) => file.record(lab, { green: 1, total: 1, solved: true }, monday)));
  expect((await file.read()).size).toBe(4);
});
