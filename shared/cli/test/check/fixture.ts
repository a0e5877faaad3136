import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { RunOptions, SuiteResult } from '@shared/testkit';
import type { Demos } from '../../src/check/demo-runs.ts';
import { packageDir } from '../../src/check/exec.ts';
import type { Finding, Gate, GateContext } from '../../src/check/gate.ts';
import { type Gradings, gradings } from '../../src/check/gradings.ts';
import { findLabs } from '../../src/labs.ts';

const house = resolve(import.meta.dirname, '../../../..');
const lab = 'labs/language/counter';

const goesOn = [1, 2, 3, 4, 5].map((from) => ({ from, law: `a counter that begins at ${from} goes on from there` }));

/** The laws of the lab, all of them core laws, in teaching order. */
export const laws: readonly string[] = ['a counter counts up by one', ...goesOn.map(({ law }) => law)];
const [law = ''] = laws;

/** A variant that forgets to go on from one place. */
const stuck = ({ from, law }: (typeof goesOn)[number]): string => `// Flaw: begins at ${from} and stays there.
// Seen in: https://example.org/${from}
// Caught by: ${law}
export { type Options, pair } from '../src/index.ts';

import { Counter as Sound } from '../src/index.ts';

export class Counter extends Sound {
  override next(): number {
    const next = super.next();
    return next === ${from + 1} ? ${from} : next;
  }
}
`;

/** A small monorepo in which every gate passes. */
const sound: Readonly<Record<string, string>> = {
  LICENSE: 'MIT\n',
  'package.json': `${JSON.stringify({ name: 'fixture', version: '0.0.0', private: true, type: 'module' }, undefined, 2)}\n`,
  'pnpm-workspace.yaml': 'packages:\n  - labs/*/*\ncatalog:\n  picocolors: 1.1.1\n  vitest: 5.1.1\n',
  'knip.json':
    '{ "workspaces": { "labs/*/*": { "entry": ["{exercise,pitfalls,test}/**/*.ts"], "project": ["**/*.ts"] } } }\n',
  'README.md': [
    '# Fixture',
    '',
    '<!-- labs -->',
    '### Language 语言',
    '',
    '| lab | what it shows | run it |',
    '|---|---|---|',
    '| [Counter 计数器](labs/language/counter) | It counts | `npx pnpm lab counter` |',
    '<!-- /labs -->',
    '',
  ].join('\n'),
  [`${lab}/package.json`]: `${JSON.stringify(
    {
      name: '@labs/counter',
      version: '0.0.0',
      private: true,
      type: 'module',
      description: 'It counts',
      lab: { stage: 'language', title: 'Counter 计数器', services: [] },
      imports: { '#lab': './src/index.ts' },
      exports: './src/index.ts',
      scripts: { demo: 'node demo.ts', test: 'lab-test' },
      dependencies: { picocolors: 'catalog:' },
      devDependencies: { '@shared/story': 'workspace:*', '@shared/testkit': 'workspace:*', vitest: 'catalog:' },
    },
    undefined,
    2,
  )}\n`,
  [`${lab}/tsconfig.json`]: '{\n  "extends": "../../../tsconfig.base.json",\n  "include": ["."]\n}\n',
  [`${lab}/README.md`]: [
    '# Counter 计数器',
    '',
    'After this lab you can say:',
    '',
    '- how to count',
    '- where a count begins',
    '- what comes next',
    '',
    '## What goes wrong',
    '## The idea',
    '## How it works',
    '## Run it',
    '',
    '<!-- run scene="1" -->',
    '<!-- /run -->',
    '',
    '## Read the code',
    '',
    '<!-- code src/counter.ts from="next()" to="}" -->',
    '```ts',
    'next(): number {',
    '  this.#count += 1;',
    '  return this.#count;',
    '}',
    '```',
    '<!-- /code -->',
    '',
    '## Pitfalls',
    '',
    '[Off by one](pitfalls/off-by-one.ts), see [the idea](#the-idea).',
    '',
    '## When not to use it',
    '## Further reading',
    '',
  ].join('\n'),
  [`${lab}/src/index.ts`]: "export { Counter, type Options, pair } from './counter.ts';\n",
  [`${lab}/src/counter.ts`]: `import colors from 'picocolors';

export interface Options<T = string> {
  readonly label: T;
  readonly from?: number;
}

export function pair<A, B extends string>(a: A, b: B): readonly [A, B] {
  return [a, b];
}

export class Counter {
  #count: number;
  readonly label: string;

  constructor(options: Options) {
    this.#count = options.from ?? 0;
    this.label = colors.bold(options.label);
  }

  next(): number {
    this.#count += 1;
    return this.#count;
  }
}
`,
  [`${lab}/exercise/index.ts`]: `export interface Options<T = string> {
  readonly label: T;
  readonly from?: number;
}

export function pair<A, B extends string>(_a: A, _b: B): readonly [A, B] {
  throw new Error('pair is yours to write');
}

export class Counter {
  readonly label: string;
  #options: Options;

  constructor(options: Options) {
    this.label = options.label;
    this.#options = options;
  }

  next(): number {
    throw new Error(\`next is yours to write, from \${this.#options.from}\`);
  }
}
`,
  [`${lab}/exercise/hints.md`]: [
    '# Core laws\n',
    ...laws.map((each) => `## ${each}\n\nWhat comes next?\n\nLook up: successor.\n`),
    '# Hardening laws\n',
  ].join('\n'),
  [`${lab}/pitfalls/off-by-one.ts`]: `// Flaw: begins one too high.
// Seen in: https://example.org/1
// Caught by: ${law}
export { type Options, pair } from '../src/index.ts';

import { Counter as Sound } from '../src/index.ts';

export class Counter extends Sound {
  override next(): number {
    return super.next() + 1;
  }
}
`,
  ...Object.fromEntries(goesOn.map((each) => [`${lab}/pitfalls/stuck-at-${each.from}.ts`, stuck(each)])),
  [`${lab}/test/counter.test.ts`]: `import { expect, test } from 'vitest';
import { Counter, pair } from '#lab';

test('${law}', () => {
  const counter = new Counter({ label: 'c' });
  expect([counter.next(), counter.next()]).toEqual([1, 2]);
  expect(pair(1, 'a')).toEqual([1, 'a']);
});
${goesOn
  .map(
    ({ from, law }) => `
test('${law}', () => {
  expect(new Counter({ label: 'c', from: ${from} }).next()).toBe(${from + 1});
});
`,
  )
  .join('')}`,
  [`${lab}/demo.ts`]: `import { tell } from '@shared/story';
import { Counter } from './src/index.ts';

await tell({ title: 'Counter', dir: import.meta.dirname }, async (story) => {
  await story.scene('Count', async () => {
    const count = new Counter({ label: 'demo' }).next();
    story.verdict('the first count is one', String(count), count === 1);
  });
});
`,
};

export class Repo implements AsyncDisposable {
  readonly root: string;

  /** The sound monorepo, with the changes of one defect: a text replaces a file, undefined removes it. */
  static async with(changes: Readonly<Record<string, string | undefined>> = {}): Promise<Repo> {
    const repo = new Repo(await mkdtemp(join(tmpdir(), 'labs-fixture-')));
    for (const file of ['tsconfig.base.json', 'biome.json']) {
      await repo.write(file, await readFile(join(house, file), 'utf8'));
    }
    // So that Biome, which respects git's ignore file, takes the fixture for a repository.
    await repo.write('.gitignore', 'node_modules/\n');
    for (const [file, text] of Object.entries({ ...sound, ...changes })) {
      if (text !== undefined) await repo.write(file, text);
    }
    await repo.link('node_modules/@types/node', packageDir('@types/node'));
    await repo.link(`${lab}/node_modules/vitest`, join(house, 'shared/testkit/node_modules/vitest'));
    await repo.link(`${lab}/node_modules/picocolors`, packageDir('picocolors'));
    for (const name of ['story', 'testkit']) {
      await repo.link(`${lab}/node_modules/@shared/${name}`, join(house, 'shared', name));
    }
    return repo;
  }

  constructor(root: string) {
    this.root = root;
  }

  async write(file: string, text: string): Promise<void> {
    await mkdir(dirname(join(this.root, file)), { recursive: true });
    await writeFile(join(this.root, file), text);
  }

  read(file: string): Promise<string> {
    return readFile(join(this.root, file), 'utf8');
  }

  async link(file: string, target: string): Promise<void> {
    await mkdir(dirname(join(this.root, file)), { recursive: true });
    await symlink(target, join(this.root, file), 'dir');
  }

  async findings(gate: Gate, context: Partial<GateContext> = {}): Promise<readonly Finding[]> {
    const labs = await findLabs(this.root, () => undefined);
    const silent: Demos = { of: async () => [], together: async () => {}, known: new Map() };
    const empty = gradedBy(async () => ({ ok: true, tests: [], problems: [], missing: [], ms: 0 }));
    return gate.run({ root: this.root, labs, narrowed: false, demos: silent, gradings: empty, ...context });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

/** Gradings whose suites are run by `run`. */
export const gradedBy = (run: (options: RunOptions) => Promise<SuiteResult>): Gradings =>
  gradings(false, undefined, () => ({ run: (options = {}) => run(options), [Symbol.asyncDispose]: async () => {} }));

/** What a gate finds in the sound monorepo with these changes. */
export async function findingsWith(
  gate: Gate,
  changes: Readonly<Record<string, string | undefined>> = {},
  context: Partial<GateContext> = {},
): Promise<readonly Finding[]> {
  await using repo = await Repo.with(changes);
  return await repo.findings(gate, context);
}

/** The text of a file of the sound monorepo, with replacements: from, to, from, to. */
export function edited(file: string, ...replacements: readonly string[]): Record<string, string> {
  let text = sound[file] ?? '';
  for (let i = 0; i < replacements.length; i += 2) {
    const [from = '', to = ''] = replacements.slice(i, i + 2);
    if (!text.includes(from)) throw new Error(`the fixture has no ${file} with ${from}`);
    text = text.replace(from, to);
  }
  return { [file]: text };
}

/** Prefix of the lab's files. */
export const at = (file: string): string => `${lab}/${file}`;
