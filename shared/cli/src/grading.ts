import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import type { TestResult } from '@shared/testkit';
import { readPitfalls } from './anatomy.ts';
import { CommandError, UsageError } from './errors.ts';
import { type Hints, readHints } from './hints.ts';
import type { Lab } from './labs.ts';
import { suggestion } from './nearest.ts';
import { coreRun, suiteLaws } from './suite-laws.ts';

/** One law of a suite, as one run found it. */
export type Law = Pick<TestResult, 'name' | 'state' | 'ms' | 'error' | 'note'> & {
  /** Relative to the lab. */
  readonly file?: string;
  /** Its place among the core laws, from 0; absent for a hardening law. */
  readonly core?: number;
};

/** What a run judges: the core laws alone, or every law. */
export type Scope = 'core' | 'all';

/** What the compiler says of the learner's code. */
export type TypeProblem = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly text: string;
};

export type Grading = {
  readonly scope: Scope;
  /** How many core laws the lab names; 0 where it does not tell them from the others. */
  readonly core: number;
  /** The core laws in teaching order, then the others in the order of the suite. */
  readonly laws: readonly Law[];
  /** What went wrong outside any law: code that does not load, a hang of the whole run. */
  readonly problems: readonly string[];
  readonly types: readonly TypeProblem[];
  /** Every law was judged; a hang that takes the whole run with it leaves some out. */
  readonly complete: boolean;
  /** Why laws could not be judged: the servers that are missing. */
  readonly missing: readonly string[];
  readonly ms: number;
};

export type GradeOptions = {
  /** Relative to the lab: `src/index.ts`. */
  readonly impl: string;
  /** Default: 'all'. A lab that names no core laws is always judged by all. */
  readonly scope?: Scope;
  readonly signal?: AbortSignal;
  readonly onLaw?: (law: Law) => void;
  /** Also type-checks the implementation's folder. */
  readonly types?: boolean;
};

/** Runs the suite of `lab` against an implementation. Rejects with the signal's reason when that aborts. */
export async function grade(lab: Lab, options: GradeOptions): Promise<Grading> {
  const { impl, signal, onLaw, types } = options;
  const [{ runSuite }, hints] = await Promise.all([import('@shared/testkit'), readHints(lab.dir)]);
  const scope = hints.core.length > 0 ? (options.scope ?? 'all') : 'all';
  const part = scope === 'core' ? coreRun(await suiteLaws(lab.dir), hints) : undefined;
  const asked = (name: string) => part === undefined || part.names.includes(name);
  const [suite, typeProblems] = await Promise.all([
    runSuite({
      dir: lab.dir,
      ...(impl === defaultImpl ? {} : { impl }),
      ...(part ? { testNames: part.names, files: part.files } : {}),
      ...(signal ? { signal } : {}),
      onTest: (test) => asked(test.name) && onLaw?.(toLaw(test, hints)),
    }),
    types ? checkTypes(lab, impl, signal) : [],
  ]);
  const laws = inOrder(suite.tests, lab).map((test) => toLaw(test, hints));
  const core = laws.filter((law) => law.core !== undefined).sort((a, b) => (a.core ?? 0) - (b.core ?? 0));
  return {
    scope,
    core: hints.core.length,
    laws: [...core, ...laws.filter((law) => law.core === undefined)],
    problems: suite.problems,
    missing: suite.missing,
    types: typeProblems,
    ms: suite.ms,
    complete: suite.tests.every(({ file }) => file !== ''),
  };
}

function toLaw(test: TestResult, hints: Hints): Law {
  const place = hints.place(test.name);
  return place === undefined ? test : { ...test, core: place };
}

export const defaultImpl = 'src/index.ts';

/**
 * Files end in any order: the one that bears the lab's name comes first. Within a file the laws keep their order. A law
 * that had to be ended from outside comes without a file: it is the last that was judged.
 */
function inOrder(tests: readonly TestResult[], lab: Lab): TestResult[] {
  const rank = (file: string) => (file === `test/${lab.name}.test.ts` ? 0 : file === '' ? 2 : 1);
  const files = [...new Set(tests.map(({ file }) => file))].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return files.flatMap((file) => tests.filter((test) => test.file === file));
}

/** Every law that was to be judged holds, and the types are right. */
export const isGreen = ({ laws, problems, types }: Grading): boolean =>
  problems.length === 0 && types.length === 0 && laws.length > 0 && laws.every(({ state }) => state === 'passed');

/**
 * The implementation that `--impl` means: a part of the lab (`attempt`), a pitfall (`no-token`), or a file.
 *
 * @returns its path relative to the lab.
 * @throws {UsageError} where there is none.
 */
export async function implementation(lab: Lab, wanted: string, cwd: string): Promise<string> {
  const parts = ['src', 'attempt', 'exercise'];
  if (parts.includes(wanted)) {
    const file = `${wanted}/index.ts`;
    if (existsSync(join(lab.dir, file))) return file;
    const remedy = wanted === 'attempt' ? `; \`pnpm lab learn ${lab.name}\` makes it` : '';
    throw new UsageError(`"${lab.name}" has no ${file} yet${remedy}`);
  }
  const pitfalls = await readPitfalls(lab.dir);
  const pitfall = pitfalls.find(({ name, file }) => name === wanted || file === wanted);
  if (pitfall) return pitfall.file;
  for (const file of [join(lab.dir, wanted), resolve(cwd, wanted)]) {
    if (wanted.endsWith('.ts') && existsSync(file)) return relative(lab.dir, file);
  }
  const names = [...parts, ...pitfalls.map(({ name }) => name)];
  const choice = `it has ${names.join(', ')}, and takes the path of a .ts file`;
  throw new UsageError(`"${lab.name}" has no implementation "${wanted}"${suggestion(wanted, names) || ';'} ${choice}`);
}

/** Type-checks the lab and keeps what concerns the folder of `impl`; unused names are no mistake while one learns. */
async function checkTypes(lab: Lab, impl: string, signal: AbortSignal | undefined): Promise<TypeProblem[]> {
  const folder = dirname(impl);
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  const lenient = ['--noUnusedLocals', 'false', '--noUnusedParameters', 'false'];
  const output = await outputOf([tsc, '--noEmit', '--pretty', 'false', ...lenient, '-p', '.'], lab.dir, signal);
  return readDiagnostics(output).filter(({ file }) => file.startsWith(`${folder}/`));
}

/** The diagnostics of `tsc --pretty false`; indented lines belong to the one above. */
export function readDiagnostics(output: string): TypeProblem[] {
  const found: TypeProblem[] = [];
  for (const line of output.split(/\r?\n/)) {
    const [, file, row, column, text] = /^(\S.*)\((\d+),(\d+)\): error TS\d+: (.*)$/.exec(line) ?? [];
    if (file !== undefined && text !== undefined) {
      found.push({ file: file.replaceAll('\\', '/'), line: Number(row), column: Number(column), text });
      continue;
    }
    const last = found.at(-1);
    if (last && /^\s+\S/.test(line)) found[found.length - 1] = { ...last, text: `${last.text}\n${line.trimEnd()}` };
  }
  return found;
}

function outputOf(args: readonly string[], cwd: string, signal: AbortSignal | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(signal ? { signal } : {}),
    });
    let text = '';
    const collect = (chunk: Buffer) => {
      text += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', (cause) => {
      reject(signal?.aborted ? signal.reason : new CommandError(`tsc did not start: ${cause.message}`, { cause }));
    });
    child.once('close', () => resolve(text));
  });
}
