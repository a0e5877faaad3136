import { matchesGlob } from 'node:path';
import { expect, test } from 'vitest';
import {
  labFiles,
  labNamePattern,
  manifestFields,
  pathIn,
  readmeBudget,
  readmeSections,
  readPitfallHeader,
  scaffold,
  titlePattern,
} from '../src/anatomy.ts';
import { isRecord } from '../src/labs.ts';

const outline = { name: 'task-queue', stage: 'language', title: 'Task queue 任务队列', description: 'One line' };
const files = scaffold(outline);

test('a scaffold holds every file that a lab must have, and none that it may not', () => {
  const rules = labFiles.map((rule) => ({ ...rule, path: pathIn(outline, rule.path) }));
  for (const { path, required } of rules) {
    if (required) expect([...files.keys()].filter((file) => matchesGlob(file, path))).not.toEqual([]);
  }
  for (const file of files.keys())
    expect(
      rules.some(({ path }) => matchesGlob(file, path)),
      file,
    ).toBe(true);
});

test("a scaffold's README has the title, and every section in order", () => {
  const readme = files.get('README.md') ?? '';
  expect(readme.split('\n')[0]).toBe('# Task queue 任务队列');
  const headings = [...readme.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
  expect(headings).toEqual(readmeSections.map(({ heading }) => heading));
  expect(readme.split('\n').length).toBeLessThan(readmeBudget.lines);
});

test("a scaffold's manifest holds every field as the anatomy wants it", () => {
  const manifest: unknown = JSON.parse(files.get('package.json') ?? '');
  for (const { path, holds, remedy } of manifestFields) {
    const value = path.reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), manifest);
    expect(holds(value, outline), `${path.join('.')} must be ${remedy}`).toBe(true);
  }
});

test("a pitfall's header is read over several lines, and ends with the comment", () => {
  const header = readPitfallHeader(`// Flaw: DEL without the token,
// so that it deletes another's lock.
// Seen in: https://example.org/1
// Caught by: a holder cannot release the next holder's lock

// Flaw: not this one
export {};`);
  expect(header).toEqual({
    flaw: "DEL without the token, so that it deletes another's lock.",
    seenIn: 'https://example.org/1',
    caughtBy: "a holder cannot release the next holder's lock",
  });
});

test('a field that a header lacks or leaves empty is undefined', () => {
  expect(readPitfallHeader('// Flaw:\n// Caught by: x\n')).toEqual({
    flaw: undefined,
    seenIn: undefined,
    caughtBy: 'x',
  });
  expect(readPitfallHeader('export {};')).toEqual({ flaw: undefined, seenIn: undefined, caughtBy: undefined });
});

test('a name is lower case words joined by hyphens', () => {
  for (const name of ['redlock', 'task-queue', 'http2-push']) expect(name).toMatch(labNamePattern);
  for (const name of ['Redlock', '2pc', 'a--b', '-a', 'a-', 'a b', 'a/b', '..', ''])
    expect(name).not.toMatch(labNamePattern);
});

test('a title is English, then Chinese', () => {
  expect('Redlock 红锁').toMatch(titlePattern);
  for (const title of ['Redlock', '红锁', '']) expect(title).not.toMatch(titlePattern);
});
