import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One idea in both languages, where mypy and tsc may disagree. */
export const pairs: readonly { readonly what: string; readonly python: string; readonly typescript: string }[] = [
  {
    what: 'dogs handed on as a list of animals',
    python: `class Animal: ...
class Dog(Animal): ...
def add(animals: list[Animal]) -> None:
    animals.append(Animal())
dogs: list[Dog] = []
add(dogs)`,
    typescript: `class Animal { name = '' }
class Dog extends Animal { bark() {} }
const add = (animals: Animal[]) => animals.push(new Animal());
const dogs: Dog[] = [];
add(dogs);`,
  },
  {
    what: 'the same, asked for as read-only',
    python: `from typing import Sequence
class Animal: ...
class Dog(Animal): ...
def count(animals: Sequence[Animal]) -> int:
    return len(animals)
dogs: list[Dog] = []
count(dogs)`,
    typescript: `class Animal { name = '' }
class Dog extends Animal { bark() {} }
const count = (animals: readonly Animal[]) => animals.length;
const dogs: Dog[] = [];
count(dogs);`,
  },
  {
    what: 'the first of an empty list',
    python: `users: list[str] = []
first: str = users[0]`,
    typescript: `const users: string[] = [];
export const first: string = users[0];`,
  },
  {
    what: 'a key that the table lacks',
    python: `scores: dict[str, float] = {"math": 90.5}
score: float = scores["maths"]`,
    typescript: `const scores: Record<string, number> = { math: 90.5 };
export const score: number = scores['maths'];`,
  },
  {
    what: 'an overload whose body swaps its answers',
    python: `from typing import overload
@overload
def parse(data: str) -> int: ...
@overload
def parse(data: bytes) -> str: ...
def parse(data: str | bytes) -> int | str:
    return data if isinstance(data, str) else len(data)`,
    typescript: `export function parse(data: string): number;
export function parse(data: Uint8Array): string;
export function parse(data: string | Uint8Array): number | string {
  return typeof data === 'string' ? data : data.length;
}`,
  },
];

/** Which of the Python programs mypy refuses, by index, and its version; undefined where mypy is not at hand. */
export async function mypy(): Promise<{ readonly version: string; readonly refused: readonly boolean[] } | undefined> {
  const version = await output('mypy', ['--version']);
  if (version === undefined) return undefined;
  const dir = await mkdtemp(join(tmpdir(), 'two-checkers-'));
  try {
    const files = pairs.map((_, i) => `p${i}.py`);
    await Promise.all(pairs.map(({ python }, i) => writeFile(join(dir, `p${i}.py`), `${python}\n`)));
    const report = (await output('mypy', ['--strict', '--cache-dir', join(dir, 'cache'), ...files], dir)) ?? '';
    return { version: version.trim(), refused: files.map((file) => report.includes(`${file}:`)) };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** What the program prints, whatever its exit code; undefined where there is no such program. */
function output(program: string, args: readonly string[], cwd?: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(program, args, { ...(cwd === undefined ? {} : { cwd }), timeout: 60_000 }, (error, stdout) =>
      resolve(error && error.code === 'ENOENT' ? undefined : stdout),
    );
  });
}
