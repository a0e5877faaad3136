import { type Dockerfile, DockerfileParser, type From, type Instruction, type Line } from 'dockerfile-ast';
import type { Span } from './finding.ts';

/** What stands between one FROM and the next. */
export interface Stage {
  /** From 0. */
  readonly index: number;
  /** As other stages call it, in lower case: `AS build`. */
  readonly name: string | undefined;
  readonly from: From;
  /** The image, its variables filled in from the ARGs above; `${NAME}` where none is given. */
  readonly image: string;
  /** The earlier stage that it builds on, where its image is none from a registry. */
  readonly base: Stage | undefined;
  /** Without the FROM. */
  readonly instructions: readonly Instruction[];
}

/** What a rule looks at. */
export interface Parsed {
  readonly ast: Dockerfile;
  readonly stages: readonly Stage[];
  /** The one that `docker build` makes an image of; undefined where the file has no FROM. */
  readonly last: Stage | undefined;
  /** The folder that is sent to the builder, where the linter was given it. */
  readonly context: Context | undefined;
}

export interface Context {
  /** Paths of its files, relative, with `/`. */
  readonly files: readonly string[];
  /** The text of its .dockerignore. Undefined: it has none. */
  readonly ignore?: string | undefined;
}

export function parsed(text: string, context: Context | undefined): Parsed {
  // A byte order mark would be the first instruction's first letter.
  const ast = DockerfileParser.parse(text.replace(/^\uFEFF/, ''));
  const froms = ast.getFROMs();
  const stages: Stage[] = [];
  for (const [index, from] of froms.entries()) {
    const first = lineOf(from);
    const next = froms[index + 1];
    const image = wordsOf(from)[0] ?? '';
    const base = stages.findLast(({ name }) => name === image.toLowerCase());
    const instructions = ast
      .getInstructions()
      .filter((each) => lineOf(each) > first && (next === undefined || lineOf(each) < lineOf(next)));
    stages.push({ index, from, image, base, instructions, name: from.getBuildStage()?.toLowerCase() });
  }
  return { ast, stages, last: stages.at(-1), context };
}

/** All that made the image of a stage, oldest first: the stages that it builds on included. */
export function historyOf(stage: Stage | undefined): readonly Instruction[] {
  return stage === undefined ? [] : [...historyOf(stage.base), ...stage.instructions];
}

/** The last one of a keyword is the one that counts. */
export function lastOf(stage: Stage | undefined, keyword: string): Instruction | undefined {
  return historyOf(stage).findLast((each) => each.getKeyword() === keyword);
}

/** `["node", "server.js"]`; undefined is the shell form. As Docker, which takes what is no JSON for a shell's command. */
export function execForm(instruction: Instruction): readonly string[] | undefined {
  const words = instruction.getArgumentsContent() ?? '';
  try {
    const list: unknown = JSON.parse(words);
    return Array.isArray(list) && list.every((each) => typeof each === 'string') ? list : undefined;
  } catch {
    return undefined;
  }
}

/** What is written, its variables filled in, with their defaults, and its quotes gone. */
export const wordsOf = (instruction: Instruction): readonly string[] =>
  instruction.getExpandedArguments().map((each) =>
    each
      .getValue()
      .replace(/^(["'])(.*)\1$/, '$2')
      .replaceAll(/\$\{\w+:-([^{}]*)\}/g, '$1'),
  );

/** `COPY --from=…`: not of the context. */
export const isFromStage = (at: Instruction): boolean => /^\s*\w+\s+(?:--\S+\s+)*--from=/.test(at.toString());

/** The sources and the destination of a COPY or ADD, without its flags and heredocs. */
export function copied(instruction: Instruction): { sources: readonly string[]; to: string } {
  const words = execForm(instruction) ?? wordsOf(instruction);
  const inline = words.findIndex((each) => each.startsWith('<<'));
  if (inline !== -1) return { sources: [], to: words[inline + 1] ?? '' };
  return { sources: words.slice(0, -1), to: words.at(-1) ?? '' };
}

export const spanOf = (line: Line): Span => {
  const { start, end } = line.getRange();
  return {
    start: { line: start.line + 1, column: start.character + 1 },
    end: { line: end.line + 1, column: end.character + 1 },
  };
};

/** From 0. */
export const lineOf = (line: Line): number => line.getRange().start.line;
