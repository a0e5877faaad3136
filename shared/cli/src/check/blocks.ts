import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { maskFigures, renderPlain } from '@shared/story/read';
import { stages } from '../anatomy.ts';
import { isMissing, type Lab } from '../labs.ts';
import type { DemoRun } from './demo-runs.ts';

/** A generated stretch of a Markdown file, between `<!-- KIND … -->` and `<!-- /KIND -->`, each on a line of its own. */
export interface Block {
  readonly kind: 'code' | 'run' | 'labs';
  /** `code src/redlock.ts …`: the file. */
  readonly file: string | undefined;
  readonly attributes: ReadonlyMap<string, string>;
  /** The line of the opening marker, counted from 1. */
  readonly line: number;
  /** What stands between the markers, without the line breaks next to them. */
  readonly content: string;
  readonly start: number;
  readonly end: number;
}

/** A block that cannot be filled. The message says what to change. */
export class BlockError extends Error {
  override readonly name = 'BlockError';
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

const opening = /^<!-- (code|run|labs)\b(.*?) ?-->\s*$/;

/**
 * The blocks of a Markdown text. Markers inside a code fence are an example, not a block.
 * @throws {BlockError} for a block that is never closed.
 */
export function blocksOf(markdown: string): readonly Block[] {
  const blocks: Block[] = [];
  let fence: string | undefined;
  let offset = 0;
  let open: { kind: Block['kind']; rest: string; line: number; start: number } | undefined;
  for (const [i, line] of markdown.split('\n').entries()) {
    const next = offset + line.length + 1;
    if (open) {
      if (line.trim() === `<!-- /${open.kind} -->`) {
        const end = Math.max(open.start, offset - 1);
        blocks.push({
          ...attributesOf(open.rest),
          kind: open.kind,
          line: open.line,
          content: markdown.slice(open.start, end),
          start: open.start,
          end,
        });
        open = undefined;
      }
    } else {
      const ticks = /^\s*(```+|~~~+)/.exec(line)?.[1];
      if (ticks && (fence === undefined || ticks.startsWith(fence))) fence = fence === undefined ? ticks : undefined;
      const [, kind, rest = ''] = fence === undefined ? (opening.exec(line) ?? []) : [];
      if (kind === 'code' || kind === 'run' || kind === 'labs') open = { kind, rest, line: i + 1, start: next };
    }
    offset = next;
  }
  if (open)
    throw new BlockError(open.line, `<!-- ${open.kind} --> is never closed: write <!-- /${open.kind} --> below it`);
  return blocks;
}

function attributesOf(rest: string): Pick<Block, 'file' | 'attributes'> {
  const pairs = [...rest.matchAll(/(\w+)=(?:"([^"]*)"|'([^']*)')/g)];
  const file = rest.replaceAll(/\w+=(?:"[^"]*"|'[^']*')/g, '').trim();
  return {
    file: file === '' ? undefined : file,
    attributes: new Map(pairs.map(([, name = '', double, single]) => [name, double ?? single ?? ''])),
  };
}

/** The text with new contents for its blocks. */
export function withBlocks(markdown: string, contents: ReadonlyMap<Block, string>): string {
  let text = markdown;
  for (const [block, content] of [...contents].sort(([a], [b]) => b.start - a.start)) {
    const empty = block.end === block.start && markdown.slice(block.start).startsWith('<!--');
    text = `${text.slice(0, block.start)}${content}${empty ? '\n' : ''}${text.slice(block.end)}`;
  }
  return text;
}

/**
 * The lines of a file that a code block quotes: from the first line that contains `from` to the next one that contains
 * `to`, by default that one line. Fenced.
 * @throws {BlockError} when the file or a line is not found.
 */
export async function codeContent({ file, attributes, line }: Block, dir: string): Promise<string> {
  if (file === undefined) throw new BlockError(line, 'names no file: <!-- code src/NAME.ts from="…" to="…" -->');
  let text: string;
  try {
    text = await readFile(join(dir, file), 'utf8');
  } catch (error) {
    if (isMissing(error))
      throw new BlockError(line, `quotes ${file}, which does not exist: name a file relative to the README`);
    throw error;
  }
  const lines = text.trimEnd().split('\n');
  const from = attributes.get('from');
  const first = from === undefined ? 0 : lines.findIndex((each) => each.includes(from));
  if (first < 0) throw new BlockError(line, `no line of ${file} contains from="${from}": quote a line as it is now`);
  const to = attributes.get('to');
  const last = lastLine(lines, first, from, to);
  if (last < 0)
    throw new BlockError(
      line,
      `no line of ${file} after line ${first + 1} contains to="${to}": quote a line as it is now`,
    );
  const quoted = lines.slice(first, last + 1);
  const margin = Math.min(...quoted.filter((each) => each.trim() !== '').map((each) => each.search(/\S/)));
  const language = file.split('.').at(-1);
  return [`\`\`\`${language}`, ...quoted.map((each) => each.slice(margin)), '```'].join('\n');
}

function lastLine(lines: readonly string[], first: number, from: string | undefined, to: string | undefined): number {
  if (to !== undefined) return lines.findIndex((each, i) => i > first && each.includes(to));
  return from === undefined ? lines.length - 1 : first;
}

/**
 * What a run block shows: a scene of the demo, or of `example="NAME"`, as it is printed into a pipe. Without `scene`,
 * the whole story. The lines on servers stay out: where they come from differs from machine to machine.
 * @throws {BlockError} when there is no such run or scene.
 */
export function runContent({ attributes, line }: Block, runs: readonly DemoRun[]): string {
  const example = attributes.get('example');
  const file = example === undefined ? runs[0]?.file : `examples/${example}.ts`;
  const run = runs.find((each) => each.file === file);
  if (run === undefined)
    throw new BlockError(line, `there is no ${file ?? 'demo'}: example="NAME" means examples/NAME.ts`);
  const scene = attributes.get('scene');
  const events = run.events.filter(
    (event) => event.type !== 'server' && (scene === undefined || event.scene === Number(scene)),
  );
  if (events.length === 0) {
    const scenes = Math.max(0, ...run.events.map((event) => event.scene));
    throw new BlockError(line, `${file} has no scene ${scene}: it has ${scenes}`);
  }
  return ['```text', renderPlain(events), '```'].join('\n');
}

/** Whether a run block still shows what a new run shows; figures may differ, they do so each time. */
export function sameRun(content: string, fresh: string): boolean {
  return maskFigures(content) === maskFigures(fresh);
}

/** What a reader of the index has to know of a lab whose servers are not all to be had. */
const reserve = ({ unproven }: Lab): string =>
  unproven === undefined ? '' : `. (Laws that need a mongod, and have run on none yet: ${unproven})`;

/** The index of labs in the root README: a table a stage. */
export function indexContent(labs: readonly Lab[]): string {
  return stages
    .map(({ name, english, title }) => ({
      heading: `### ${english} ${title}`,
      own: labs.filter(({ stage }) => stage === name),
    }))
    .filter(({ own }) => own.length > 0)
    .map(({ heading, own }) =>
      [
        heading,
        '',
        '| lab | what it shows | run it |',
        '|---|---|---|',
        ...own.map(
          (lab) =>
            `| [${lab.title}](labs/${lab.stage}/${lab.name}) | ${lab.description}${reserve(lab)} | \`npx pnpm lab ${lab.name}\` |`,
        ),
      ].join('\n'),
    )
    .join('\n\n');
}
