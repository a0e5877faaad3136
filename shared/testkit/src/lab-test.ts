#!/usr/bin/env node
// Runs the suite of the package in the current folder. `lab-test [--impl FILE] [-t NAME] [--deadline SECONDS]`; LAB_IMPL
// works like --impl.
// A full run of the package's own code leaves its result in .results/test.json; with LAB_REPORT=FILE it also adds it to
// FILE, a line a suite, for whoever runs several.
// Exit codes: 0 passed, 1 failed, 2 wrong usage, 130 interrupted.
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs, styleText } from 'node:util';
import { runSuite, type SuiteResult, type TestResult } from './suite.ts';
import { tally } from './tally.ts';

/** A day; beyond what a timer holds, it would be over at once. */
const MAX_SECONDS = 86_400;
const dir = process.cwd();
const { impl, test: testName, deadline } = options();
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort(signal));

try {
  const result = await runSuite({
    dir,
    ...(impl === undefined ? {} : { impl }),
    ...(testName === undefined ? {} : { testName }),
    ...(deadline === undefined ? {} : { deadlineMs: deadline * 1000 }),
    signal: stop.signal,
    onTest: report,
    onOutput: (text) => process.stderr.write(styleText('dim', text, { stream: process.stderr })),
  });
  summarise(result);
  if (impl === undefined && testName === undefined) await save(result);
  process.exitCode = result.ok ? 0 : 1;
} catch (error) {
  if (!stop.signal.aborted) throw error;
  process.exitCode = 130;
}

function options(): { impl: string | undefined; test: string | undefined; deadline: number | undefined } {
  try {
    const { values } = parseArgs({
      options: { impl: { type: 'string' }, test: { type: 'string', short: 't' }, deadline: { type: 'string' } },
    });
    const deadline = values.deadline === undefined ? undefined : Number(values.deadline);
    if (deadline !== undefined && !(deadline > 0 && deadline <= MAX_SECONDS))
      throw new RangeError(`--deadline is ${values.deadline}: give seconds, at most ${MAX_SECONDS}`);
    return { impl: values.impl ?? process.env['LAB_IMPL'], test: values.test, deadline };
  } catch (error) {
    const usage = 'usage: lab-test [--impl FILE] [-t TEST-NAME] [--deadline SECONDS]';
    console.error(`${error instanceof Error ? error.message : error}\n${usage}`);
    process.exit(2);
  }
}

function report({ name, state, ms, error, note }: TestResult): void {
  // A test left out by -t is no news; one that was skipped for a reason is.
  if (testName !== undefined && name !== testName && state === 'skipped') return;
  const sign = { passed: styleText('green', '✓'), failed: styleText('red', '✗'), skipped: styleText('yellow', '↷') };
  const slow = ms >= 300 ? styleText('dim', `  ${(ms / 1000).toFixed(1)} s`) : '';
  console.log(`${sign[state]} ${name}${slow}`);
  if (error !== undefined) console.log(indent(error));
  if (state === 'skipped') console.log(indent(`skipped: ${note ?? 'marked so in the suite'}`));
}

function summarise({ tests, problems, ms }: SuiteResult): void {
  for (const problem of problems) console.log(`${styleText('red', '✗')} ${indent(problem).trimStart()}`);
  const { passed, failed, skipped } = tally({ tests, problems });
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped  ${(ms / 1000).toFixed(1)} s`);
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}

async function save(result: SuiteResult): Promise<void> {
  await mkdir(join(dir, '.results'), { recursive: true });
  await writeFile(join(dir, '.results/test.json'), `${JSON.stringify(result, null, 2)}\n`);
  const file = process.env['LAB_REPORT'];
  if (file) await appendFile(file, `${JSON.stringify({ dir, name: basename(dir), result })}\n`);
}
