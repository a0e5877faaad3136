// `pnpm test [NAME…] [--force]`: every suite of the repository, or those of the named packages, by turbo, which replays
// what has not changed. Ends with what each suite costs, and the line "N passed, N failed, N skipped".
// Exit codes: 0 all passed or skipped · 1 a test failed · 2 wrong usage · 130 interrupted.
import { spawn } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { SuiteResult } from '@shared/testkit';
import { describeError, exit, exitCodeOf, UsageError } from '../errors.ts';
import { isRecord } from '../labs.ts';
import { suggestion } from '../nearest.ts';
import { costTable } from './costs.ts';
import { bins } from './exec.ts';
import { textOf } from './files.ts';
import { packageDirs } from './packages.ts';
import { Scratch } from './scratch.ts';
import { suiteEnv, suiteResult } from './turbo.ts';
import { closing, total, type Verdict, verdictLines } from './verdicts.ts';

const root = resolve(process.env['LABS_ROOT'] ?? resolve(import.meta.dirname, '../../../..'));

interface Suite {
  /** The folder's name, by which people call it. */
  readonly name: string;
  /** The package's name, by which turbo calls it. */
  readonly id: string;
  readonly dir: string;
  readonly lab: boolean;
}

let interrupted = false;

try {
  process.exitCode = await main();
} catch (error) {
  console.error(describeError(error, process.env));
  process.exitCode = exitCodeOf(error);
}

async function main(): Promise<number> {
  const { names, force } = options();
  const suites = chosen(await allSuites(), names);
  await using scratch = await Scratch.outside();
  const report = scratch.path('report.jsonl');
  await writeFile(report, '');
  // A result that an earlier run left behind must not pass for this run's.
  await Promise.all(suites.map(({ dir }) => rm(join(dir, '.results'), { recursive: true, force: true })));

  const env = { ...(await suiteEnv()), LAB_REPORT: report };
  const told = new Set<string>();
  const tell = async (): Promise<void> => {
    for (const line of (await readFile(report, 'utf8')).split('\n').slice(told.size, -1)) {
      const verdict = toVerdict(line);
      told.add(verdict.name);
      console.log(verdictLines(verdict));
    }
  };
  // The house's suites mostly wait, so two of them share two cores well. Labs measure: one at a time.
  const phases = [
    { suites: suites.filter(({ lab }) => !lab), concurrency: 2 },
    { suites: suites.filter(({ lab }) => lab), concurrency: 1 },
  ];
  const runs: TurboResult[] = [];
  for (const phase of phases) {
    if (interrupted || phase.suites.length === 0) continue;
    let over = false;
    const ended = runTurbo({ ...phase, force, env }).finally(() => {
      over = true;
    });
    while (!over) {
      await Promise.race([ended, delay(200)]);
      await tell();
    }
    runs.push(await ended);
    await tell();
  }

  const verdicts = await Promise.all(suites.map((suite) => verdictOf(suite, told)));
  for (const verdict of verdicts) if (!told.has(verdict.name)) console.log(verdictLines(verdict));
  if (interrupted) return exit.interrupted;
  const unsound = runs.filter(({ code }) => code !== 0);
  // The task runner's own words matter only where it never came to the tests.
  if (verdicts.some(({ result }) => result === undefined))
    for (const { output } of unsound) console.log(`\n${output.trim()}`);
  const costs = costTable(
    verdicts.map(({ name, result }) => ({ name, suiteMs: result?.ms, demoMs: undefined, gradingMs: undefined })),
  );
  console.log(`\n${costs}\n\n${closing(verdicts)}`);
  return total(verdicts).failed === 0 && unsound.length === 0 ? exit.done : exit.failed;
}

function options(): { names: readonly string[]; force: boolean } {
  try {
    const { values, positionals } = parseArgs({ options: { force: { type: 'boolean' } }, allowPositionals: true });
    return { names: positionals, force: values.force ?? false };
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error}\nusage: pnpm test [NAME…] [--force]`);
  }
}

async function allSuites(): Promise<readonly Suite[]> {
  const found = await Promise.all(
    (await packageDirs(root)).map(async (dir) => {
      const manifest: unknown = JSON.parse((await textOf(join(dir, 'package.json'))) ?? '{}');
      if (!isRecord(manifest) || !isRecord(manifest['scripts']) || !('test' in manifest['scripts'])) return [];
      return [{ name: basename(dir), id: String(manifest['name']), dir, lab: 'lab' in manifest }];
    }),
  );
  return found.flat();
}

function chosen(suites: readonly Suite[], names: readonly string[]): readonly Suite[] {
  if (names.length === 0) return suites;
  return names.map((name) => {
    const suite = suites.find((each) => each.name === name || each.id === name);
    if (suite) return suite;
    const all = suites.map((each) => each.name);
    throw new UsageError(`there is no suite "${name}"${suggestion(name, all) || ';'} there are ${all.join(', ')}`);
  });
}

interface TurboRun {
  readonly suites: readonly Suite[];
  readonly concurrency: number;
  readonly force: boolean;
  readonly env: NodeJS.ProcessEnv;
}

interface TurboResult {
  readonly code: number | null;
  readonly output: string;
}

function runTurbo({ suites, concurrency, force, env }: TurboRun): Promise<TurboResult> {
  const args = [
    'run',
    'test',
    `--concurrency=${concurrency}`,
    '--continue=always',
    '--log-order=grouped',
    '--ui=stream',
    ...suites.map(({ id }) => `--filter=${id}`),
    ...(force ? ['--force'] : []),
  ];
  const turbo = spawn(process.execPath, [bins.turbo(), ...args], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      interrupted = true;
      turbo.kill(signal);
    });
  }
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk;
  };
  turbo.stdout.on('data', collect);
  turbo.stderr.on('data', collect);
  return new Promise((done, fail) => {
    turbo.once('error', fail);
    turbo.once('close', (code) => done({ code, output }));
  });
}

function toVerdict(line: string): Verdict {
  const { name, result }: { name: string; result: SuiteResult } = JSON.parse(line);
  return { name, result, cached: false };
}

async function verdictOf({ name, dir }: Suite, told: ReadonlySet<string>): Promise<Verdict> {
  const text = await textOf(join(dir, suiteResult));
  return { name, result: text === undefined ? undefined : JSON.parse(text), cached: !told.has(name) };
}
