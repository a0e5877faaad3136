import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { structuredPatch } from 'diff';
import colors from 'picocolors';
import { isMissing } from './labs.ts';

export type FileDiff = {
  /** `attempt/index.ts → src/redlock.ts`. */
  readonly title: string;
  readonly added: number;
  readonly removed: number;
  /** Unified, coloured, without a file header. */
  readonly text: string;
};

/** The learner's files against the reference, one entry for each pair that differs. */
export async function referenceDiff(dir: string): Promise<FileDiff[]> {
  const [mine, reference] = await Promise.all([sources(join(dir, 'attempt')), sources(join(dir, 'src'))]);
  return pairs(mine, reference)
    .map(({ names, mine, theirs }) => diffOf(`attempt/${names[0]} → ${names[1]}`, mine, theirs))
    .filter(({ added, removed }) => added + removed > 0);
}

type Sources = ReadonlyMap<string, string>;

/**
 * Files of one name belong together. The reference may spread over files what the exercise keeps in one: then that one
 * is compared with the files that declare what it declares, and where there are none with all that it does not import.
 */
export function pairs(mine: Sources, reference: Sources): { names: [string, string]; mine: string; theirs: string }[] {
  const found: { names: [string, string]; mine: string; theirs: string }[] = [];
  const left = new Map(mine);
  const open = new Map([...reference].filter(([, text]) => !isBarrel(text)));
  for (const [name, text] of mine) {
    const theirs = open.get(name);
    if (theirs === undefined) continue;
    found.push({ names: [name, `src/${name}`], mine: text, theirs });
    left.delete(name);
    open.delete(name);
  }
  for (const [name, text] of left) {
    const names = declared(text);
    const kin = [...open].filter(([, code]) => declared(code).some((each) => names.includes(each)));
    const rest = kin.length > 0 ? kin : [...open].filter(([file]) => !text.includes(`../src/${file}`));
    const [first] = rest;
    if (!first) continue;
    const title = rest.length === 1 ? `src/${first[0]}` : rest.map(([file]) => `src/${file}`).join(' + ');
    const theirs = rest.length === 1 ? first[1] : rest.map(([file, code]) => `// src/${file}\n${code}`).join('\n');
    found.push({ names: [name, title], mine: text, theirs });
    for (const [file] of rest) open.delete(file);
  }
  return found;
}

/** The classes, functions and constants that a file exports under a declaration of its own. */
const declared = (text: string): string[] =>
  [...text.matchAll(/^export (?:abstract )?(?:async )?(?:class|function\*?|const) (\w+)/gm)].map(
    ([, name = '']) => name,
  );

/** A file that only hands on the exports of others. */
const isBarrel = (text: string): boolean =>
  text
    .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    .replace(/export\s+(type\s+)?(\*|\{[^}]*\})(\s+as\s+\w+)?\s+from\s+'[^']*';?/g, '')
    .trim() === '';

function diffOf(title: string, mine: string, theirs: string): FileDiff {
  const { hunks } = structuredPatch('mine', 'reference', mine, theirs, '', '', { context: 2 });
  const lines = hunks.flatMap(({ oldStart, newStart, lines }) => [`@@ -${oldStart} +${newStart} @@`, ...lines]);
  return {
    title,
    added: lines.filter((line) => line.startsWith('+')).length,
    removed: lines.filter((line) => line.startsWith('-')).length,
    text: lines.map(paint).join('\n').trimEnd(),
  };
}

function paint(line: string): string {
  if (line.startsWith('+')) return colors.green(line);
  if (line.startsWith('-')) return colors.red(line);
  return line.startsWith('@@') ? colors.cyan(line) : line;
}

async function sources(dir: string): Promise<Map<string, string>> {
  let names: string[];
  try {
    names = await readdir(dir, { recursive: true });
  } catch (error) {
    if (isMissing(error)) return new Map();
    throw error;
  }
  const files = names.filter((name) => name.endsWith('.ts')).sort();
  return new Map(
    await Promise.all(files.map(async (name) => [name, await readFile(join(dir, name), 'utf8')] as const)),
  );
}
