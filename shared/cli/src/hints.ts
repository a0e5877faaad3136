import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing } from './labs.ts';

/**
 * Core laws are the learner's path from the stub to the idea; all others are hardening laws: what makes the reference
 * fit for a product.
 */
export type Kind = 'core' | 'hardening';

/** The two parts of `exercise/hints.md`. */
export const parts: Readonly<Record<Kind, string>> = { core: 'Core laws', hardening: 'Hardening laws' };

/** What stands under one heading of `exercise/hints.md`. */
export type Hint = {
  /** As the heading has it, without backticks. */
  readonly law: string;
  /** Undefined for a heading that stands in neither part. */
  readonly kind: Kind | undefined;
  /** Paragraphs, code blocks and list items, from a question to the shape of the code. */
  readonly steps: readonly string[];
  /** Counted from 1. */
  readonly line: number;
};

/** What `exercise/hints.md` says: the core laws in teaching order, and how to come by each law. */
export class Hints {
  /** In the order of the file. */
  readonly all: readonly Hint[];
  /** There is a part for core laws: the lab tells them from the others. */
  readonly tellsCore: boolean;
  /** Names of the core laws, in teaching order. */
  readonly core: readonly string[];
  readonly #steps = new Map<string, readonly string[]>();
  readonly #places: ReadonlyMap<string, number>;

  constructor(all: readonly Hint[] = [], tellsCore = all.some(({ kind }) => kind === 'core')) {
    this.all = all;
    this.tellsCore = tellsCore;
    this.core = all.filter(({ kind }) => kind === 'core').map(({ law }) => law);
    for (const { law, steps } of all) this.#steps.set(key(law), steps);
    this.#places = new Map(this.core.map((law, place) => [key(law), place]));
  }

  /** The steps of a law's hint; none where nothing is written. */
  for(law: string): readonly string[] {
    return this.#steps.get(key(law)) ?? [];
  }

  /** A law's place among the core laws, from 0; undefined for a hardening law. */
  place(law: string): number | undefined {
    return this.#places.get(key(law));
  }
}

/** A heading may put code in backticks where the law's name has none. */
const key = (law: string): string =>
  law
    .replace(/[`*"'“”]/g, '')
    .replace(/\s+/g, ' ')
    .trim()
    .toLowerCase();

/** The hints of `exercise/hints.md`; none where there is no such file. */
export async function readHints(dir: string): Promise<Hints> {
  try {
    return await parseHints(await readFile(join(dir, 'exercise/hints.md'), 'utf8'));
  } catch (error) {
    if (isMissing(error)) return new Hints();
    throw error;
  }
}

/** `# Core laws` and `# Hardening laws` open a part; a heading below is a law's name, and what follows its hint. */
export async function parseHints(markdown: string): Promise<Hints> {
  const { marked } = await import('marked');
  const all: Hint[] = [];
  let kind: Kind | undefined;
  let steps: string[] | undefined;
  let line = 1;
  let tellsCore = false;
  for (const token of marked.lexer(markdown)) {
    if (token.type === 'heading' && token.depth === 1) {
      kind = kindOf(token.text);
      tellsCore ||= kind === 'core';
      steps = undefined;
    } else if (token.type === 'heading') {
      steps = [];
      all.push({ law: token.text.replaceAll('`', '').trim(), kind, steps, line });
    } else if (token.type === 'list') {
      for (const item of token.items) steps?.push(item.raw.trimEnd());
    } else if (token.type !== 'space') {
      steps?.push(token.raw.trimEnd());
    }
    line += token.raw.split('\n').length - 1;
  }
  return new Hints(all, tellsCore);
}

function kindOf(heading: string): Kind | undefined {
  const title = heading.trim().toLowerCase();
  if (title === parts.core.toLowerCase()) return 'core';
  return title === parts.hardening.toLowerCase() ? 'hardening' : undefined;
}
