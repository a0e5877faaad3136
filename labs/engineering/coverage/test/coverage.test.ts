import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { History, outcome, random } from '@shared/testkit';
import { calculateMutationTestMetrics } from 'mutation-testing-metrics';
import type { MutantStatus, MutationTestResult } from 'mutation-testing-report-schema/api';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type Coverage,
  DiffError,
  describeMissing,
  diffCoverage,
  type Equivalent,
  FloorError,
  hundredths,
  InvalidArgumentError,
  LcovError,
  MutationReportError,
  mergeCoverage,
  missingTests,
  mutationScore,
  parseDiff,
  parseLcov,
  percent,
  raiseFloor,
  ratchet,
  readFloor,
  readMutants,
} from '#lab';
import { edit } from './edits.ts';
import { oneSuite } from './one-suite.ts';
import { gitDiff, strykerReport } from './recorded.gen.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

type Lines = Readonly<Record<number, number>>;
const coverageOf = (files: Readonly<Record<string, Lines>>): Coverage =>
  new Map(
    Object.entries(files).map(([path, lines]) => [
      path,
      new Map(Object.entries(lines).map(([n, hits]) => [Number(n), hits])),
    ]),
  );
const lcovOf = (files: Readonly<Record<string, Lines>>) =>
  Object.entries(files)
    .map(
      ([path, lines]) =>
        `TN:\nSF:${path}\n${Object.entries(lines)
          .map(([n, hits]) => `DA:${n},${hits}\n`)
          .join('')}end_of_record\n`,
    )
    .join('');
/** A diff of one hunk of one file. */
const diffOf = (path: string, hunk: string) =>
  `diff --git a/${path} b/${path}\nindex 1..2 100644\n--- a/${path}\n+++ b/${path}\n${hunk}\n`;
/** A file that is new, with these lines. */
const newFile = (path: string, ...lines: string[]) =>
  `diff --git a/${path} b/${path}\nnew file mode 100644\nindex 0..2\n--- /dev/null\n+++ b/${path}\n@@ -0,0 +1,${lines.length} @@\n${lines.map((line) => `+${line}\n`).join('')}`;
const numbers = (diff: string) =>
  Object.fromEntries([...parseDiff(diff)].map(([path, lines]) => [path, [...lines.keys()]]));
const share = (covered: number, total: number) => ({ covered, total });

/** A file of the test's own. */
async function floorFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'coverage-floor-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'floor.jsonl');
}

/** Calls which have to throw what they are said to. */
function refused(
  Type: new (...args: never[]) => Error,
  calls: readonly (readonly [what: string, call: () => unknown])[],
) {
  for (const [what, call] of calls) expect(call, `${what}: to be refused with ${Type.name}`).toThrow(Type);
}

const walk = () => readMutants(JSON.stringify(oneSuite(strykerReport, 'test/walk.test.ts')));
const look = () => readMutants(JSON.stringify(oneSuite(strykerReport, 'test/look.test.ts')));
const atMost = {
  path: 'src/price.ts',
  code: 'return due < 0 ? 0 : due;',
  original: 'due < 0',
  replacement: 'due <= 0',
};
const EQUAL: Equivalent = { ...atMost, reason: 'an order of nothing comes to nothing either way' };

describe('the change', () => {
  test('the lines that a change adds are counted by their numbers in the new file', () => {
    const first = '@@ -3,4 +3,5 @@ export function price() {\n a\n-b\n+B\n+B2\n c\n d';
    const second = '@@ -20,3 +21,2 @@\n x\n-y\n z\n@@ -40,0 +40 @@\n+last';
    const changes = parseDiff(diffOf('src/price.ts', `${first}\n${second}`) + newFile('src/new.ts', 'one', 'two'));
    expect([...changes.keys()]).toEqual(['src/price.ts', 'src/new.ts']);
    expect(changes.get('src/price.ts')).toEqual(
      new Map([
        [4, 'B'],
        [5, 'B2'],
        [40, 'last'],
      ]),
    );
    expect(changes.get('src/new.ts')).toEqual(
      new Map([
        [1, 'one'],
        [2, 'two'],
      ]),
    );
    expect(parseDiff('')).toEqual(new Map());
  });

  test('a hunk is as long as its header says, whatever its lines look like', () => {
    const hunk = '@@ -1,3 +1,3 @@\n--- members\n+++ b/src/other.ts\n context\n-@@ -9 +9 @@\n+diff --git a/x b/x';
    const next = '@@ -10 +10 @@\n-old\n+new';
    expect(parseDiff(diffOf('rules.sql', `${hunk}\n${next}`))).toEqual(
      new Map([
        [
          'rules.sql',
          new Map([
            [1, '++ b/src/other.ts'],
            [3, 'diff --git a/x b/x'],
            [10, 'new'],
          ]),
        ],
      ]),
    );
  });

  test('a file has its new name, and what is deleted, only renamed, or binary adds no line', () => {
    const touched = Object.entries(numbers(gitDiff)).filter(([, lines]) => lines.length > 0);
    expect(Object.fromEntries(touched.filter(([path]) => /^[\w/.-]+$/.test(path)))).toEqual({
      'db/rules.sql': [2, 3],
      'src/crlf.ts': [2, 4],
      'src/feed.ts': [1, 2, 3],
      'src/fresh.ts': [1, 2],
      'src/new.ts': [3],
      'src/no-newline.ts': [1],
      'src/price.ts': [2, 6, 9],
    });
  });

  test('a name with quotes, blanks, or letters of any script is read as it is', () => {
    expect(numbers(gitDiff)).toMatchObject({ 'src/a "b".ts': [2], 'src/with space.ts': [2], 'src/柜 台.ts': [2] });
    const odd = '--- "a/\\303\\251\\t\\\\\\a.ts"\n+++ "b/\\303\\251\\t\\\\\\a.ts"\n@@ -1 +1 @@\n-a\n+b\n';
    expect(numbers(odd)).toEqual({ 'é\t\\\u0007.ts': [1] });
    const dated = '--- a/x.ts\t2026-11-29 08:00:00\n+++ b/x.ts\t2026-11-29 08:00:01\n@@ -1 +1 @@\n-a\n+b\n';
    expect(numbers(dated)).toEqual({ 'x.ts': [1] });
    const long = `"b/${'x'.repeat(300_000)}\\tx.ts"`;
    expect([...parseDiff(`--- /dev/null\n+++ ${long}\n@@ -0,0 +1 @@\n+a\n`).keys()]).toHaveLength(1);
    const hostile = parseDiff(newFile('__proto__', 'a') + newFile('constructor', 'b'));
    expect([...hostile.keys()]).toEqual(['__proto__', 'constructor']);
    expect(Object.prototype).not.toHaveProperty('1');
  });

  test('a link or a submodule adds no line of code, however git shows it', () => {
    const fresh = newFile('src/a.ts', 'a');
    const link = newFile('src/link.ts', '../a.ts').replace('mode 100644', 'mode 120000');
    const moved = diffOf('src/moved.ts', '@@ -1 +1 @@\n-a.ts\n+b.ts').replace('100644', '120000');
    const short = diffOf('vendor/three.js', '@@ -1 +1 @@\n-Subproject commit 1\n+Subproject commit 2').replace(
      '100644',
      '160000',
    );
    expect(Object.entries(numbers(link + moved + short + fresh)).filter(([, lines]) => lines.length > 0)).toEqual([
      ['src/a.ts', [1]],
    ]);
    const logged = 'Submodule vendor/three.js 0925374..858c240:\n  > a message\n  < another\n';
    expect(numbers(fresh + logged)).toEqual({ 'src/a.ts': [1] });
    expect(numbers(logged)).toEqual({});
    expect(numbers(`${fresh}Submodule vendor/three.js contains modified content\n`)).toEqual({ 'src/a.ts': [1] });
  });

  test('a newline ends a line of a diff, and nothing else does', () => {
    const hunk = '@@ -1,3 +1,5 @@\n one\r two\n+\u2028a\fb\u0085c\u000bd\n three\n+four\n five';
    expect(parseDiff(diffOf('a.ts', hunk)).get('a.ts')).toEqual(
      new Map([
        [2, '\u2028a\fb\u0085c\u000bd'],
        [4, 'four'],
      ]),
    );
    const mailed = diffOf('a.ts', '@@ -1,3 +1,4 @@\n one\n+two\n\n three').replaceAll('\n', '\r\n');
    expect(parseDiff(mailed)).toEqual(new Map([['a.ts', new Map([[2, 'two']])]]));
    expect(parseDiff(mailed.replaceAll('\r', '')), 'an empty line without its blank').toEqual(parseDiff(mailed));
    expect(parseDiff(gitDiff).get('src/crlf.ts')).toEqual(
      new Map([
        [2, '2'],
        [4, 'four'],
      ]),
    );
  });

  test('any change is read as it was made', () => {
    const dice = random(SEED);
    for (let round = 0; round < 200; round++) {
      const edits = ['a.ts', 'b.ts', 'c.ts'].map((path) => [path, edit(path, dice, dice.int(0, 3))] as const);
      const diff = edits.map(([, { diff }]) => diff).join('');
      const made = edits.filter(([, { diff }]) => diff !== '').map(([path, { added }]) => [path, added] as const);
      expect(parseDiff(diff), JSON.stringify(diff)).toEqual(new Map(made));
    }
  });

  test('what is no diff of one change, or half of one, is refused', () => {
    const whole = diffOf('a.ts', '@@ -1,2 +1,2 @@\n one\n-two\n+zwei');
    const bad: [string, string][] = [
      ['a message', "fatal: bad revision 'main...'\n"],
      ['a colourful diff', whole.replace(/^/gm, '\u001b[1m')],
      ['a report', lcovOf({ 'a.ts': { 1: 1 } })],
      ['a merge', 'diff --cc a.ts\n--- a/a.ts\n+++ b/a.ts\n@@@ -1,1 -1,1 +1,2 @@@\n  a\n++b\n'],
      ['no prefix', whole.replaceAll(/ [ab]\//g, ' ')],
      ['the index’s prefix', whole.replace('--- a/', '--- i/').replace('+++ b/', '+++ w/')],
      // Its `--- /dev/null` and `+++ b/a.ts` would be a.ts, and the file is b/a.ts.
      ['a new file in a folder b, without prefixes', newFile('a.ts', 'a').replace('git a/', 'git b/')],
      ['a hunk of no file', '@@ -1 +1 @@\n-a\n+b\n'],
      [
        'a hunk of a binary',
        'diff --git a/x.ts b/x.ts\n--- a/x.ts\n+++ b/x.ts\n@@ -1 +1 @@\n-a\n+b\ndiff --git a/y b/y\n@@ -1 +1 @@\n-a\n+b\n',
      ],
      ['cut off', whole.slice(0, whole.indexOf('+zwei'))],
      ['cut off behind a header', whole.slice(0, whole.indexOf(' one'))],
      ['more added than announced', `${whole}+drei\n`],
      ['more kept than announced', `${whole} drei\n`],
      ['more deleted than announced', `${whole}-drei\n`],
      ['other lines than announced', whole.replace('-two', '+two')],
      ['a deleted line too many', diffOf('a.ts', '@@ -1 +1,2 @@\n-a\n-b\n+c\n+d')],
      ['no line of a hunk', whole.replace('-two\n+zwei', '?two')],
      ['a file twice', whole + whole],
      ['no UTF-8', '--- "a/\\377.ts"\n+++ "b/\\377.ts"\n@@ -1 +1 @@\n-a\n+b\n'],
      ['half a name', '--- "a/x.ts\n+++ "b/x.ts\n@@ -1 +1 @@\n-a\n+b\n'],
    ];
    refused(
      DiffError,
      bad.map(([what, text]) => [what, () => parseDiff(text)]),
    );
    const lineOf = (what: string) => {
      const text = bad.find(([each]) => each === what)?.[1] ?? '';
      try {
        parseDiff(text);
      } catch (error) {
        return error instanceof DiffError ? error.line : error;
      }
      return 'read';
    };
    expect(
      Object.fromEntries(bad.map(([what]) => [what, lineOf(what)])),
      'the line of the text that each error names',
    ).toMatchObject({
      'a message': undefined,
      'a merge': 1,
      'no prefix': 1,
      'the index’s prefix': 3,
      'a hunk of no file': 1,
      'more added than announced': 9,
      'other lines than announced': 8,
      'no line of a hunk': 7,
      'a file twice': 12,
    });
    expect(numbers(whole.trimEnd()), 'a text without its last line end').toEqual({ 'a.ts': [2] });
    expect(numbers(`From 1 Mon Sep 17\nSubject: [PATCH]\n---\n a.ts | 2 +-\n\n${whole}-- \n2.39.5\n\n`)).toEqual({
      'a.ts': [2],
    });
    expect(parseDiff(' \n')).toEqual(new Map());
    expect(numbers(`\ufeff--- a/a.ts\n+++ b/a.ts\n@@ -1 +1 @@\n-a\n+b\n`)).toEqual({ 'a.ts': [1] });
    // Git knows `--default-prefix` from 2.41 on.
    expect(() => parseDiff('fatal')).toThrow('--src-prefix=a/ --dst-prefix=b/');
  });
});

describe('the coverage of a change', () => {
  test('changed-line coverage counts the changed lines that can run, and no other', () => {
    const coverage = coverageOf({ 'src/price.ts': { 1: 9, 3: 2, 4: 0, 6: 1, 8: 0 }, 'src/same.ts': { 1: 0, 2: 0 } });
    const changes = parseDiff(
      diffOf('src/price.ts', '@@ -3,3 +3,4 @@\n+3\n-3\n-4\n+4\n+5 // a comment\n 6\n@@ -9 +10 @@\n-9\n+10'),
    );
    const { covered, total, files } = diffCoverage(coverage, changes);
    expect({ covered, total }).toEqual(share(1, 2));
    expect(files).toEqual([{ path: 'src/price.ts', loaded: true, covered: [3], missed: [4] }]);
    expect(diffCoverage(coverage, parseDiff(diffOf('src/price.ts', '@@ -1,2 +1 @@\n-1\n-2\n+a'))).total).toBe(1);
  });

  test('a changed file that no test has loaded is not covered', () => {
    const refund = newFile('src/refund.ts', '/** Pays back. */', 'export function refund() {', '  return 1;', '}', '');
    const others = ['README.md', 'test/a.test.ts', 'src/a.spec.tsx', 'types.d.ts', 'vite.config.mts', 'tests/a.js'];
    const changes = parseDiff(refund + others.map((path) => newFile(path, 'a line')).join(''));
    const found = diffCoverage(coverageOf({ 'src/price.ts': { 1: 1 } }), changes);
    expect(found.files).toEqual([{ path: 'src/refund.ts', loaded: false, covered: [], missed: [2, 3] }]);
    expect(found).toMatchObject(share(0, 2));
  });

  test('which files count is the caller’s to say, and what the report knows always counts', () => {
    const changes = parseDiff(newFile('app/shop.py', '# a note', 'a = 1') + newFile('test/tool.ts', 'a', 'b'));
    const known = coverageOf({ 'test/tool.ts': { 1: 1, 2: 0 } });
    expect(diffCoverage(known, changes)).toMatchObject(share(1, 2));
    expect(diffCoverage(known, changes, { counts: (path) => path.endsWith('.py') })).toMatchObject(share(1, 3));
    expect(
      diffCoverage(known, parseDiff(newFile('a.ts', '// a', '  /* b', ' * c', '*', ' */', '});', ''))),
    ).toMatchObject(share(0, 0));
    const comments = [
      '#!/usr/bin/env node',
      '/*',
      'Copyright',
      '   code(); in it',
      '*/',
      '/** @type {X} */ const x = f();',
    ];
    const after = ["cron('*/5 * * * *');", '/* a */ /* b', 'c */ d();', '#private = 1;', '/* open', 'text'];
    expect(diffCoverage(known, parseDiff(newFile('a.ts', ...comments, ...after))).files[0]?.missed).toEqual([
      6, 7, 9, 10,
    ]);
    const gap = diffOf('a.ts', '@@ -0,0 +1 @@\n+/* the comment ends in a line that stays\n@@ -8,0 +9 @@\n+code();');
    expect(diffCoverage(known, parseDiff(gap)).files[0]?.missed).toEqual([9]);
    for (const name of ['a.js', 'a.mjs', 'a.cjs', 'a.ts', 'a.mts', 'a.cts', 'a.jsx', 'latest/a.tsx', 'src/config.ts']) {
      expect(diffCoverage(known, parseDiff(newFile(name, 'a'))).total, name).toBe(1);
    }
  });

  test('a file is matched by its whole path', () => {
    const changes = parseDiff(newFile('src/index.ts', 'a') + newFile('packages/a/src/index.ts', 'a'));
    const found = diffCoverage(coverageOf({ 'packages/a/src/index.ts': { 1: 1 }, 'index.ts': { 1: 1 } }), changes);
    expect(found.files.map(({ path, loaded }) => [path, loaded])).toEqual([
      ['src/index.ts', false],
      ['packages/a/src/index.ts', true],
    ]);
  });

  test('what a change takes out of the count is listed, with its reason or without', () => {
    const hints: [line: string, hint: string, reason: string | undefined][] = [
      ['/* v8 ignore next */', 'v8 ignore next', undefined],
      ['/* v8 ignore next -- @preserve */', 'v8 ignore next', undefined],
      ['/* v8 ignore if -- @preserve: only on Windows */ if (x) y();', 'v8 ignore if', 'only on Windows'],
      ['{/* istanbul ignore next 3: a crash of the host */}', 'istanbul ignore next 3', 'a crash of the host'],
      ['/* c8 ignore start — 無法測試 */', 'c8 ignore start', '無法測試'],
      ['/* node:coverage disable */ why();', 'node:coverage disable', undefined],
      [
        '// Stryker disable next-line all: the log’s text is nobody’s',
        'Stryker disable next-line all',
        'the log’s text is nobody’s',
      ],
      ['// Stryker disable StringLiteral', 'Stryker disable StringLiteral', undefined],
      ['x = 1  # pragma: no cover', 'pragma: no cover', undefined],
      ['/*  v8  ignore\tnext 2 */', 'v8  ignore\tnext 2', undefined],
      ['/* node:coverage ignore file: made by a tool */', 'node:coverage ignore file', 'made by a tool'],
      ['y = 1  # PRAGMA NO BRANCH', 'PRAGMA NO BRANCH', undefined],
      ['/* v8 ignore stop */', '', undefined],
      ["say('v8 ignore next, Stryker disable all, pragma: no cover');", '', undefined],
      ['/* v8 ignore nextever */', '', undefined],
    ];
    const changes = parseDiff(
      newFile('src/a.ts', ...hints.map(([line]) => line)) + newFile('notes.md', '/* v8 ignore next */'),
    );
    const found = diffCoverage(coverageOf({ 'src/b.ts': { 1: 1 } }), changes).ignores;
    const expected = hints.flatMap(([, hint, reason], index) =>
      hint ? [{ path: 'src/a.ts', line: index + 1, hint, reason }] : [],
    );
    expect(found).toEqual(expected);
    expect(diffCoverage(coverageOf({ 'src/a.ts': {} }), changes).ignores).toEqual(expected);
    const two = newFile('a.ts', '/* v8 ignore next: a crash */ a(); /* v8 ignore next */ b();');
    expect(diffCoverage(new Map(), parseDiff(two)).ignores.map(({ reason }) => reason)).toEqual(['a crash', undefined]);
    const many = Array.from({ length: 130_000 }, (_, at) => [at + 1, '// c8 ignore next'] as const);
    expect(diffCoverage(coverageOf({ 'a.ts': {} }), new Map([['a.ts', new Map(many)]])).ignores.length).toBe(130_000);
  });

  test('merged shards are what one run of all tests would be', () => {
    const dice = random(SEED);
    const runs = Array.from({ length: 6 }, () => {
      const file = () => Object.fromEntries(Array.from({ length: 30 }, (_, line) => [line + 1, dice.int(0, 2)]));
      return Object.fromEntries(['a.ts', 'b.ts', 'c.ts'].filter(() => dice.next() < 0.7).map((path) => [path, file()]));
    });
    const one = parseLcov(runs.map(lcovOf).join(''));
    expect(mergeCoverage(runs.map((run) => coverageOf(run)))).toEqual(one);
    expect(mergeCoverage([...runs].reverse().map((run) => coverageOf(run)))).toEqual(one);
    const shards = [coverageOf({ 'a.ts': { 1: 1, 2: 0 } }), coverageOf({ 'a.ts': { 1: 0, 2: 3, 7: 0 } })];
    expect(mergeCoverage(shards)).toEqual(coverageOf({ 'a.ts': { 1: 1, 2: 3, 7: 0 } }));
    expect(shards, 'what was handed in').toEqual([
      coverageOf({ 'a.ts': { 1: 1, 2: 0 } }),
      coverageOf({ 'a.ts': { 1: 0, 2: 3, 7: 0 } }),
    ]);
    expect(mergeCoverage([])).toEqual(new Map());
  });

  test('a report’s files have their paths from the repository’s root, wherever the tests ran', () => {
    const read = (path: string, options?: Parameters<typeof parseLcov>[1]) => [
      ...parseLcov(lcovOf({ [path]: { 1: 1 } }), options).keys(),
    ];
    expect(read('src/a.ts')).toEqual(['src/a.ts']);
    expect(read('./src/../a.ts')).toEqual(['a.ts']);
    expect(read('/repo/src/a.ts', { root: '/repo' })).toEqual(['src/a.ts']);
    expect(read('/repo/src/a.ts', { root: '/repo/' })).toEqual(['src/a.ts']);
    expect(read('/repo2/src/a.ts', { root: '/repo' })).toEqual(['/repo2/src/a.ts']);
    expect(read('src/a.ts', { root: '/repo', cwd: '/repo/packages/a' })).toEqual(['packages/a/src/a.ts']);
    expect(read('../b/a.ts', { root: '/repo', cwd: '/repo/packages/a' })).toEqual(['packages/b/a.ts']);
    expect(read('src\\a.ts')).toEqual(['src/a.ts']);
    expect(read('c:\\repo\\src\\a.ts', { root: 'C:\\repo' })).toEqual(['src/a.ts']);
    refused(LcovError, [
      ['an absolute path and no root', () => read('/repo/a.ts')],
      ['a drive and no root', () => read('D:\\a.ts')],
    ]);
    // Nothing would be in it, so nothing would be covered.
    refused(
      InvalidArgumentError,
      ['', '.', 'repo'].map((root) => [root, () => read('src/a.ts', { root })]),
    );
    const python =
      'TN:\r\nSF:a.py\r\nFN:1,f\r\nFNDA:2,f\r\nDA:1,2,checksum\r\nBRDA:1,0,0,-\r\nLF:1\r\nend_of_record\r\n# end\r\n';
    expect(parseLcov(python)).toEqual(coverageOf({ 'a.py': { 1: 2 } }));
    expect(parseLcov(`\ufeff${python}`), 'a byte order mark').toEqual(parseLcov(python));
  });

  test('what is no LCOV report, or half of one, is refused', () => {
    const whole = lcovOf({ 'a.ts': { 1: 1, 2: 0 } });
    const bad: [string, string, number?][] = [
      ['nothing', ''],
      ['no file', 'TN:\n'],
      ['a page', '<html></html>', 1],
      ['a summary', '{"total":{}}', 1],
      ['cut off', whole.slice(0, -15)],
      ['two files in one', whole.replace('DA:2,0', 'SF:b.ts'), 4],
      ['a file of no name', whole.replace('SF:a.ts', 'SF:'), 2],
      ['a line of no file', `DA:1,1\n${whole}`, 1],
      ['line 0', whole.replace('DA:1', 'DA:0'), 3],
      ['no number', whole.replace('DA:1', 'DA:1e1'), 3],
      ['a negative count', whole.replace('DA:1,1', 'DA:1,-1'), 3],
      ['no count', whole.replace('DA:1,1', 'DA:1'), 3],
      ['a line beyond all numbers', whole.replace('DA:1', 'DA:99999999999999999'), 3],
    ];
    for (const [what, text, line] of bad) {
      expect(() => parseLcov(text), what).toThrow(LcovError);
      if (line) expect(() => parseLcov(text), what).toThrow(expect.objectContaining({ line }));
    }
  });
});

describe('the floor', () => {
  const lines = (covered: number, total = 100) => ({ lines: share(covered, total) });

  test('what is short of all is never 100 %, and of nothing there is no percentage', () => {
    expect([share(32_847, 32_848), share(2, 3), share(0, 7), share(7, 7)].map(percent)).toEqual([
      '99.99 %',
      '66.66 %',
      '0.00 %',
      '100.00 %',
    ]);
    expect(hundredths(share(999_999_999, 1_000_000_000))).toBe(9_999);
    expect(hundredths(share(29, 100))).toBe(2_900);
    expect([hundredths(share(0, 0)), percent(share(0, 0))]).toEqual([undefined, 'nothing to cover']);
  });

  test('the floor rises with a better run, and never falls', () => {
    const first = ratchet(new Map(), { lines: share(2, 3), mutants: share(1, 2) });
    expect(first).toMatchObject({
      holds: true,
      floor: new Map([
        ['lines', 6_666],
        ['mutants', 5_000],
      ]),
    });
    const same = ratchet(first.floor, { lines: share(4, 6), mutants: share(1, 2) });
    expect(same, 'the same coverage twice').toMatchObject({ holds: true, floor: first.floor });
    const better = ratchet(first.floor, { lines: share(3, 4), mutants: share(1, 2) });
    expect(better).toMatchObject({
      holds: true,
      floor: new Map([
        ['lines', 7_500],
        ['mutants', 5_000],
      ]),
    });
    const worse = ratchet(better.floor, { lines: share(9, 10), mutants: share(4_999, 10_000) });
    expect(worse, 'one falls, another rises').toMatchObject({ holds: false, floor: better.floor });
    expect(worse.readings).toEqual([
      { name: 'lines', floor: 7_500, now: 9_000, verdict: 'risen' },
      { name: 'mutants', floor: 5_000, now: 4_999, verdict: 'fallen' },
    ]);
    expect(first.floor, 'what was handed in').toEqual(
      new Map([
        ['lines', 6_666],
        ['mutants', 5_000],
      ]),
    );
  });

  test('of two runs at once the better one keeps its floor', async () => {
    const dice = random(SEED);
    const history = new History<string>();
    for (let round = 0; round < 8; round++) {
      const file = await floorFile();
      await raiseFloor(file, lines(10));
      const runs = dice.shuffle([40, 55, 70, 85]);
      const all = await Promise.all(runs.map((covered) => raiseFloor(file, lines(covered))));
      history.record(`runs of ${runs} % at once, then the floor is ${(await readFloor(file)).get('lines')}`);
      expect(all.every(({ holds }) => holds)).toBe(true);
      expect(await readFloor(file), history.toString()).toEqual(new Map([['lines', 8_500]]));
    }
  });

  test('whoever reads the floor while it rises sees a floor', async () => {
    const file = await floorFile();
    await raiseFloor(file, { 'lines of all the packages in the shop': share(1, 1), lines: share(1, 10_000) });
    let rising = true;
    const writer = (async () => {
      for (let covered = 2; covered < 40; covered++)
        await raiseFloor(file, { 'lines of all the packages in the shop': share(1, 1), lines: share(covered, 10_000) });
    })().finally(() => {
      rising = false;
    });
    const seen: (number | undefined)[] = [];
    while (rising) seen.push((await readFloor(file)).get('lines'));
    await writer;
    expect(seen).toEqual([...seen].sort((a, b) => Number(a) - Number(b)));
    expect(seen).not.toContain(undefined);
  });

  test('a figure that has a floor and is not measured does not hold', () => {
    const floor = new Map([
      ['lines', 9_000],
      ['constructor', 5_000],
    ]);
    expect(ratchet(floor, lines(95))).toMatchObject({ holds: false, floor });
    expect(ratchet(floor, { ...lines(95), constructor: share(0, 0) })).toMatchObject({ holds: false, floor });
    expect(ratchet(floor, { ...lines(95), constructor: share(1, 2) }).holds).toBe(true);
    expect(ratchet(new Map(), { lines: share(0, 0) })).toEqual({ holds: true, floor: new Map(), readings: [] });
    expect(ratchet(new Map(), {}).holds).toBe(true);
    expect(ratchet(new Map(), lines(0)).floor, 'nothing is a floor, too').toEqual(new Map([['lines', 0]]));
  });

  test('a floor that cannot be read is an error, and never the lowest', async () => {
    const file = await floorFile();
    expect(await readFloor(file)).toEqual(new Map());
    await raiseFloor(file, lines(90));
    const good = await readFile(file, 'utf8');
    const bad = [
      '{"lines":91',
      '<<<<<<< HEAD',
      '{"lines":"90"}',
      '{"lines":90.5}',
      '{"lines":10001}',
      '{"lines":-1}',
      '[9000]',
      'null',
      '{"":1}',
      '"lines"',
    ];
    for (const line of bad) {
      await writeFile(file, `${good}${line}\n`);
      expect((await outcome(readFloor(file))).error, line).toBeInstanceOf(FloorError);
      expect((await outcome(raiseFloor(file, lines(95)))).error, line).toMatchObject({ line: 2 });
      expect(await readFile(file, 'utf8'), line).toBe(`${good}${line}\n`);
    }
    const folder = await outcome(readFloor(tmpdir()));
    expect(folder.error).toMatchObject({ code: 'EISDIR' });
  });

  test('a file that was edited or merged by hand keeps its highest figures', async () => {
    const file = await floorFile();
    await writeFile(file, '\ufeff\r\n\ufeff{"lines":5000,"mutants":7000}\r\n\n{"lines":8000}\n{"lines":6000}');
    expect(await readFloor(file)).toEqual(
      new Map([
        ['lines', 8_000],
        ['mutants', 7_000],
      ]),
    );
    expect(await raiseFloor(file, { ...lines(79), mutants: share(9, 10) })).toMatchObject({ holds: false });
    expect(await raiseFloor(file, { ...lines(80), mutants: share(9, 10) })).toMatchObject({ holds: true });
    expect(await raiseFloor(file, { ...lines(81), mutants: share(9, 10) })).toMatchObject({ holds: true });
    expect(await readFloor(file)).toEqual(
      new Map([
        ['lines', 8_100],
        ['mutants', 9_000],
      ]),
    );
    await appendFile(file, '');
    const before = await readFile(file, 'utf8');
    await raiseFloor(file, { ...lines(81), mutants: share(9, 10) });
    expect(await readFile(file, 'utf8'), 'a run that raises nothing').toBe(before);
  });

  test('what is no share, or no name of a figure, is refused', () => {
    const bad = [
      share(2, 1),
      share(-1, 1),
      share(0.5, 1),
      share(1, 1.5),
      share(Number.NaN, 1),
      share(0, -1),
      share(0, Number.NaN),
      share(1, 2 ** 52),
      share(0, 0.5),
    ];
    refused(
      InvalidArgumentError,
      bad.flatMap(
        (it) =>
          [
            [JSON.stringify(it), () => hundredths(it)],
            [JSON.stringify(it), () => ratchet(new Map(), { it })],
          ] as const,
      ),
    );
    const names = ['', '1st', 'a\nb', 'x'.repeat(101), '__proto__', 'half \ud83d'];
    refused(
      InvalidArgumentError,
      names.map((name) => [name, () => ratchet(new Map(), { [name]: share(1, 1) })]),
    );
    expect(ratchet(new Map(), { 'packages/a: lines': share(1, 1), ['x'.repeat(100)]: share(1, 1) }).holds).toBe(true);
  });
});

describe('the mutants', () => {
  const STATUSES = ['Killed', 'Timeout', 'Survived', 'NoCoverage', 'CompileError', 'RuntimeError', 'Ignored'] as const;
  /** The recorded report with other verdicts, one a mutant. */
  const judged = (statuses: readonly MutantStatus[], statusReason?: string): MutationTestResult => {
    const files = Object.entries(oneSuite(strykerReport, 'test/walk.test.ts').files).map(([path, file]) => {
      const mutants = file.mutants.slice(0, statuses.length).map((mutant, index) => ({
        ...mutant,
        status: statuses[index] ?? 'Killed',
        ...(statusReason && { statusReason }),
      }));
      return [path, { ...file, mutants }];
    });
    return { ...strykerReport, files: Object.fromEntries(files) };
  };
  const judge = (...args: Parameters<typeof judged>) => readMutants(JSON.stringify(judged(...args)));

  test('a mutant that timed out was noticed, and one that no test ran was not', () => {
    expect(mutationScore(walk())).toEqual({ ...share(4, 14), timedOut: 0 });
    expect(percent(mutationScore(walk()))).toBe('28.57 %');
    expect(mutationScore(judge(['Killed', 'Timeout', 'Survived', 'NoCoverage', 'NoCoverage']))).toEqual({
      ...share(2, 5),
      timedOut: 1,
    });
    expect(mutationScore(judge(['Killed', 'CompileError', 'RuntimeError', 'Ignored']))).toEqual({
      ...share(1, 1),
      timedOut: 0,
    });
    expect(mutationScore([])).toEqual({ ...share(0, 0), timedOut: 0 });
  });

  test('the score is that of the tool', () => {
    const dice = random(SEED);
    for (let round = 0; round < 50; round++) {
      const statuses = Array.from({ length: dice.int(1, 14) }, () => dice.pick(STATUSES));
      const { metrics } = calculateMutationTestMetrics(judged(statuses)).systemUnderTestMetrics;
      const ours = mutationScore(judge(statuses));
      expect(ours, statuses.join()).toEqual({
        covered: metrics.totalDetected,
        total: metrics.totalValid,
        timedOut: metrics.timeout,
      });
    }
  });

  test('the survivors of a line are one missing test, with the tests that ran it', () => {
    const { missing } = missingTests(walk());
    expect(missing.map(({ line, changes, tests }) => [line, changes.length, tests])).toEqual([
      [4, 3, ['a member orders', 'a large order', 'a refund']],
      [5, 5, ['a member orders', 'a large order', 'a refund']],
      [6, 2, ['a member orders', 'a large order', 'a refund']],
    ]);
    expect(missing[1]).toMatchObject({ path: 'src/price.ts', code: 'if (cents >= 10_000) due -= 500;', run: true });
    expect(missing[1]?.changes).toContainEqual({ original: 'cents >= 10_000', replacement: 'cents > 10_000' });
    const [first, second] = missingTests(judge(['Killed', 'Survived', 'NoCoverage', 'Timeout', 'Killed'])).missing;
    expect([first?.line, first?.run, second?.line, second?.run]).toEqual([4, true, 4, false]);
    expect(missingTests(judge(['Timeout', 'Ignored', 'CompileError'])).missing).toEqual([]);
    expect(missingTests(look()).missing.map(({ changes }) => changes)).toEqual([
      [{ original: 'due < 0', replacement: 'due <= 0' }],
    ]);
  });

  test('an excused mutant has a reason, and is excused until its code changes', () => {
    const { missing, excused, stale } = missingTests(look(), [EQUAL]);
    expect({ missing, stale }).toEqual({ missing: [], stale: [] });
    expect(excused.map(({ mutant, reason }) => [mutant.line, reason])).toEqual([[6, EQUAL.reason]]);
    const moved = look().map((mutant) => ({ ...mutant, line: mutant.line + 40 }));
    expect(missingTests(moved, [EQUAL]).missing, 'the same code, 40 lines below').toEqual([]);
    const changed = look().map((mutant) => ({ ...mutant, code: mutant.code.replace('? 0', '? 1') }));
    expect(missingTests(changed, [EQUAL])).toMatchObject({
      missing: [{ line: 6 }],
      stale: [{ judgement: EQUAL, why: 'gone' }],
    });
    const noticed = look().map((mutant) => ({ ...mutant, status: 'Killed' as const }));
    expect(missingTests(noticed, [EQUAL]).stale).toEqual([{ judgement: EQUAL, why: 'noticed' }]);
    for (const reason of ['', '  ', '-', '?!'])
      expect(
        () => missingTests(look(), [{ ...EQUAL, reason }]),
        `the reason "${reason}" has no letter: to be refused with InvalidArgumentError`,
      ).toThrow(InvalidArgumentError);
  });

  test('a judgement excuses one survivor: a copy of its line is judged anew', () => {
    const twice = [...look(), ...look().map((mutant) => ({ ...mutant, line: mutant.line + 40 }))];
    expect(missingTests(twice, [EQUAL]).missing.map(({ line }) => line)).toEqual([46]);
    expect(missingTests(twice, [EQUAL, EQUAL])).toMatchObject({ missing: [], stale: [] });
    expect(missingTests(look(), [EQUAL, EQUAL]).stale).toHaveLength(1);
    expect(missingTests(look(), [{ ...EQUAL, path: 'src/other.ts' }]).missing).toHaveLength(1);
    const other = (status: MutantStatus) =>
      missingTests(
        look().map((it) => ({ ...it, status })),
        [EQUAL],
      ).stale;
    expect((['Killed', 'Timeout', 'NoCoverage', 'Ignored'] as const).map((status) => other(status)[0]?.why)).toEqual([
      'noticed',
      'noticed',
      'untried',
      'untried',
    ]);
    expect(missingTests(look(), [EQUAL, EQUAL]).stale[0]?.why).toBe('gone');
    const unrun = look().map((mutant) => ({ ...mutant, status: 'NoCoverage' as const }));
    expect(missingTests(unrun, [EQUAL]).excused, 'what no test runs').toEqual([]);
  });

  test('what a comment took out of the count says why, or is shown', () => {
    const of = (reason?: string) => missingTests(judge(['Ignored', 'Killed'], reason)).unexplained.length;
    expect([
      of(),
      of('Ignored using a comment'),
      of('the text of a log is nobody’s'),
      of('Ignored because of excluded mutation "X"'),
    ]).toEqual([1, 1, 0, 0]);
  });

  test('the report says what to test, in words', () => {
    const words = describeMissing(missingTests(walk(), [{ ...EQUAL, code: 'gone' }]));
    expect(words).toContain('src/price.ts:5  if (cents >= 10_000) due -= 500;\n');
    expect(words).toContain('    cents >= 10_000 → cents > 10_000\n');
    expect(words).toContain('  ran it, and would not notice: a member orders, a large order, a refund\n');
    expect(words).toContain('  to be tested: the two sides equal, and one step to either side\n');
    expect(words).toContain('src/price.ts  due < 0 → due <= 0 was excused; it is gone: judge again');
    expect(describeMissing(missingTests(judge(['NoCoverage', 'Ignored'])))).toBe(
      'src/price.ts:2  export function price(cents: number, member: boolean): number {\n    { let due = cents; if (member) due -= cents * 0… → {}\n  no test runs it\n' +
        '  to be tested: what the code does: without it nothing changes for the tests\nsrc/price.ts:4  member → true is ignored, and nobody says why',
    );
    expect(missingTests(walk()).missing.map(({ advice }) => advice)).toEqual([
      'the exact value that comes out',
      ...Array(2).fill('the two sides equal, and one step to either side'),
    ]);
    expect(describeMissing(missingTests([]))).toBe('');
    const coloured = walk().map((mutant) => ({ ...mutant, tests: ['two\nlines', '\u001b[31mred'] }));
    expect(describeMissing(missingTests(coloured))).toContain(' notice: two lines, [31mred\n');
  });

  test('a mutant is told with the code that it changes, over several lines and with any line ends', () => {
    const [block] = walk();
    expect(block).toMatchObject({
      line: 2,
      mutator: 'BlockStatement',
      replacement: '{}',
      status: 'Killed',
      reason: undefined,
    });
    expect(block?.original).toMatch(/^\{\n {2}let due = cents;\n[\s\S]*\n\}$/);
    expect(block?.code).toMatch(/^export function price.*\{\nlet due = cents;\n[\s\S]*\n\}$/);
    // Babel, and so Stryker, counts this as two lines.
    const separated = JSON.parse(JSON.stringify(strykerReport).replace('/** What', '/** \u2028 What'));
    const below = JSON.parse(JSON.stringify(separated), (key, value) => (key === 'line' ? value + 1 : value));
    expect(readMutants(JSON.stringify(below)).map(({ original }) => original)).toEqual(
      readMutants(JSON.stringify(strykerReport)).map(({ original }) => original),
    );
    const windows: MutationTestResult = JSON.parse(JSON.stringify(strykerReport).replaceAll('\\n', '\\r\\n'));
    expect(readMutants(JSON.stringify(windows))).toEqual(readMutants(JSON.stringify(strykerReport)));
  });

  test('what is no mutation report, or one of a run that has not ended, is refused', () => {
    const report = JSON.stringify(oneSuite(strykerReport, 'test/walk.test.ts'));
    const bad: [string, string][] = [
      ['nothing', ''],
      ['half of one', report.slice(0, 900)],
      ['a list', '[]'],
      ['another report', '{"total":{"lines":{"pct":100}}}'],
      ['no mutant', JSON.stringify(judged([]))],
      ['a run that has not ended', JSON.stringify(judged(['Killed', 'Pending']))],
      ['an unknown verdict', report.replace('"Survived"', '"Alive"')],
      ['a place that the source has not', report.replace('"line":7', '"line":70')],
      ['a survivor of no test', report.replace('"status":"Survived"', '"status":"Survived","testsCompleted":0')],
      ['an end above its start', report.replace('"end":{"column":13,"line":4}', '"end":{"column":13,"line":3}')],
      ['line 0', report.replace('"line":7', '"line":0')],
    ];
    refused(
      MutationReportError,
      bad.map(([what, text]) => [what, () => readMutants(text)]),
    );
    const location = { start: { line: 1, column: 1 }, end: { line: 1, column: 4 } };
    const mutants = [{ mutatorName: 'BlockStatement', replacement: '', status: 'Killed', location }];
    const [first] = readMutants(JSON.stringify({ files: { 'a.js': { source: 'a()', mutants } } }));
    expect(first, 'the first character of a file').toMatchObject({ line: 1, code: 'a()', original: 'a()' });
    expect(readMutants(`\ufeff${report}`), 'a byte order mark').toEqual(readMutants(report));
    const bare = JSON.stringify({ ...strykerReport, testFiles: undefined });
    expect(
      missingTests(readMutants(bare).map((mutant) => ({ ...mutant, status: 'Survived' as const }))).missing[0]?.tests,
      'tests without names',
    ).toEqual(['0', '1', '2', '3', '4', '5', '6']);
  });
});
