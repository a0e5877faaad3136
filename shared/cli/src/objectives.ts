import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Token } from 'marked';
import { isMissing } from './labs.ts';

/** What a lab's README promises above its first section. */
export type Objectives = {
  /** "After this lab you can say"; the whole sentence where no list follows. */
  readonly lead: string;
  readonly items: readonly string[];
};

/** The objectives of the lab in `dir`; undefined where its README has none. */
export async function readObjectives(dir: string): Promise<Objectives | undefined> {
  try {
    return await parseObjectives(await readFile(join(dir, 'README.md'), 'utf8'));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The paragraph that begins with "After this lab", above the first `##`, and the list right below it. */
export async function parseObjectives(markdown: string): Promise<Objectives | undefined> {
  const { marked } = await import('marked');
  const tokens = marked.lexer(markdown).filter(({ type }) => type !== 'space');
  const end = tokens.findIndex((token) => token.type === 'heading' && token.depth > 1);
  const top = end < 0 ? tokens : tokens.slice(0, end);
  const at = top.findIndex((token) => token.type === 'paragraph' && /^After this lab\b/.test(token.text));
  const paragraph = top[at];
  if (paragraph?.type !== 'paragraph') return undefined;
  const list = top[at + 1];
  const items: string[] = [];
  if (list?.type === 'list') for (const { tokens } of list.items) items.push(plain(tokens));
  return { lead: plain(paragraph.tokens).replace(/:$/, ''), items };
}

/** The words alone: links as their text, no emphasis, code in its backticks, one line. */
function plain(tokens: readonly Token[] = []): string {
  const text = tokens.map((token) => {
    if (token.type === 'codespan') return token.raw;
    if ('tokens' in token && token.tokens) return plain(token.tokens);
    return 'text' in token && typeof token.text === 'string' ? token.text : '';
  });
  return text.join('').replace(/\s+/g, ' ').trim();
}
