import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { findPackageJSON } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface Diagnostic {
  /** The key of the source. */
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  /** `TS2345`. */
  readonly code: string;
  readonly text: string;
}

/** The compiler could not be run, or died; this is not about the sources. */
export class CompilerError extends Error {
  override readonly name = 'CompilerError';
}

/** Compiler flags by name, as in a tsconfig.json. */
export type Flags = Readonly<Record<string, boolean>>;

/** The flags of a strict project beyond `strict`. */
export const strictFlags = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noFallthroughCasesInSwitch: true,
  noPropertyAccessFromIndexSignature: true,
} as const satisfies Flags;

const basics = {
  target: 'esnext',
  lib: ['esnext'],
  module: 'nodenext',
  moduleDetection: 'force',
  types: [],
  noEmit: true,
};

/**
 * What the compiler says of `sources` (file name → text), each a module of its own that imports nothing. One run of `tsc`
 * in a temporary folder, which is gone afterwards; another, when one file's syntax error hides the types of all others.
 * A name that is none, or a file that `tsc` doesn't take, is an error.
 *
 * @param flags In addition to those of `strictFlags`; a flag that is false is switched off.
 * @throws CompilerError
 */
export async function compile(sources: Readonly<Record<string, string>>, flags: Flags = {}): Promise<Diagnostic[]> {
  const files = Object.keys(sources);
  const odd = files.find((file) => !isFileName(file));
  if (odd !== undefined) throw new CompilerError(`${JSON.stringify(odd)} is no name for a source: 'one.ts' is`);
  const dir = await mkdtemp(join(tmpdir(), 'type-system-'));
  try {
    const compilerOptions = { ...basics, ...strictFlags, ...flags };
    await writeFile(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    await Promise.all(Object.entries(sources).map(([file, text]) => writeFile(join(dir, file), text)));
    const found = await run(dir);
    // After a syntax error the compiler looks at no types, in no file: the others are asked about once more.
    const others = Object.entries(sources).filter(([file]) => !found.some((each) => each.file === file));
    const unread = others.length > 0 && found.length > 0 && found.every(({ code }) => /^TS1\d{3}$/.test(code));
    return unread ? [...found, ...(await compile(Object.fromEntries(others), flags))] : found;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Not a path, which could lead out of the folder; nor half a surrogate, which could make two names one. */
const isFileName = (file: string): boolean =>
  /^[^\\/:\p{Cc}]+$/u.test(file) && file.isWellFormed() && file !== 'tsconfig.json';

async function run(dir: string): Promise<Diagnostic[]> {
  const manifest = findPackageJSON('typescript', import.meta.url);
  if (manifest === undefined)
    throw new CompilerError('the package typescript is not installed: npm install typescript');
  const tsc = join(dirname(manifest), 'bin/tsc');
  return new Promise((resolve, reject) => {
    const args = [tsc, '--pretty', 'false', '-p', dir];
    execFile(process.execPath, args, { cwd: dir, maxBuffer: Number.POSITIVE_INFINITY }, (error, stdout, stderr) => {
      const placed = [...stdout.matchAll(/^(?:.*[\\/])?([^\\/\n]+?)\((\d+),\d+\): error (TS\d+): (.*)$/gm)];
      const flags = placed.find(([, file]) => file === 'tsconfig.json')?.[4];
      // A signal instead of an exit code, or an exit code without a diagnostic: the sources were not looked at, or not all.
      const died = error && (typeof error.code !== 'number' || placed.length === 0);
      if (flags !== undefined || died) {
        const why = flags ?? ((stdout + stderr).trim() || error?.message);
        reject(new CompilerError(`tsc failed: ${why}`, { cause: error }));
      } else {
        resolve(placed.map(([, file = '', line, code = '', text = '']) => ({ file, line: Number(line), code, text })));
      }
    });
  });
}

/** A place where the compiler and the fixture disagree. */
export interface Mismatch {
  readonly file: string;
  readonly line: number;
  /** The code that the fixture announces there; undefined where it announces none. */
  readonly expected: string | undefined;
  /** What the compiler reports there; undefined where it reports nothing. */
  readonly actual: string | undefined;
}

/**
 * Programs that must not compile, as a test: a line that has to fail ends in `// !TS2345`. `@ts-expect-error` is content
 * with any error, and so with the wrong one; here code and line must be those announced, and nothing else may fail.
 *
 * @returns the disagreements, empty when every program fails as announced.
 * @throws CompilerError
 */
export async function verify(sources: Readonly<Record<string, string>>, flags: Flags = {}): Promise<Mismatch[]> {
  const announced = Object.entries(sources).flatMap(([file, text]) =>
    text.split(/\r\n|[\n\r\u2028\u2029]/).flatMap((line, index) => {
      const expected = /\/\/ !(TS\d+)\s*$/.exec(line)?.[1];
      return expected === undefined ? [] : [{ file, line: index + 1, expected }];
    }),
  );
  const reported = await compile(sources, flags);
  const same = (a: { file: string; line: number }, b: { file: string; line: number }): boolean =>
    a.file === b.file && a.line === b.line;
  const wrong = reported
    .map((each) => ({ ...each, expected: announced.find((one) => same(one, each))?.expected }))
    .filter(({ code, expected }) => code !== expected)
    .map(({ file, line, code, expected }) => ({ file, line, expected, actual: code }));
  const silent = announced
    .filter((one) => !reported.some((each) => same(one, each)))
    .map((one) => ({ ...one, actual: undefined }));
  return [...wrong, ...silent];
}

/** `verify` for the `.ts` files of a folder. @throws CompilerError; what reading the folder throws. */
export async function checkFixtures(dir: string, flags: Flags = {}): Promise<Mismatch[]> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.ts')).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')));
  return verify(Object.fromEntries(names.map((name, i) => [name, texts[i] ?? ''])), flags);
}
