import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing } from './labs.ts';

/** Hints by law: each a list of paragraphs, from a question to the shape of the code. */
export class Hints {
  readonly #byLaw = new Map<string, readonly string[]>();

  constructor(byLaw: Iterable<readonly [string, readonly string[]]> = []) {
    for (const [law, paragraphs] of byLaw) this.#byLaw.set(key(law), paragraphs);
  }

  for(law: string): readonly string[] {
    return this.#byLaw.get(key(law)) ?? [];
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

/** Headings are the laws' names; below each, a paragraph, a code block or a list item is one hint. */
export async function parseHints(markdown: string): Promise<Hints> {
  const { marked } = await import('marked');
  const byLaw = new Map<string, string[]>();
  let current: string[] | undefined;
  for (const token of marked.lexer(markdown)) {
    if (token.type === 'heading') {
      current = [];
      byLaw.set(token.text, current);
    } else if (token.type === 'list') {
      for (const item of token.items) current?.push(item.raw.trimEnd());
    } else if (token.type !== 'space') {
      current?.push(token.raw.trimEnd());
    }
  }
  return new Hints(byLaw);
}
