import { type Instruction, Run } from 'dockerfile-ast';
import { parse } from 'shell-quote';
import { execForm } from './stages.ts';

/** One command of a script. */
export interface Command {
  readonly words: readonly string[];
  /** It reads what the command before it writes. */
  readonly piped: boolean;
  /** It takes the shell's place: `exec node server.js`. */
  readonly replaces?: boolean;
}

/** Words that stand before the command they run. */
const BEFORE = /^(?:sudo|env|exec|time|command|then|do|else|elif|if|while|until|!|\{|\w+=.*)$/;
const END = /^(?:fi|done|esac|\})$/;
const TO_FILE = /^(?:[<>]&?|>>|>\||&>>?|<>)$/;

export const isShell = (program: string) => /^(?:ba|da|a|k|z)?sh$/.test(program);

/** The commands of a RUN, in order, be it a line, a heredoc or JSON. Words that can't be known keep their `$NAME`. */
export function commandsOf(run: Instruction): readonly Command[] {
  const commands = known.get(run) ?? read(run).flatMap((command) => [command, ...within(command)]);
  known.set(run, commands);
  return commands;
}

/** Several rules look at each RUN. */
const known = new WeakMap<Instruction, readonly Command[]>();

function read(run: Instruction): readonly Command[] {
  const exec = execForm(run);
  if (exec !== undefined) return [{ words: exec, piped: false }];
  const documents = run instanceof Run ? run.getHeredocs() : [];
  const [heredoc] = documents;
  const words = run.getArguments();
  if (heredoc === undefined) return commandsIn(words.map((each) => each.getValue()).join(' '));
  const lines = (run.getRawArgumentsContent() ?? '').split('\n');
  const first = run.getArgumentsRange()?.start.line ?? 0;
  const ranges = documents.map((each) => each.getContentRange());
  const isInside = (line: number) =>
    ranges.some((range) => range && range.start.line <= line && line <= range.end.line);
  const line = words.filter((each) => each.getRange().start.line === heredoc.getStartRange().start.line);
  const readers = commandsIn(
    line
      .map((each) => each.getValue())
      .filter((word) => !/^\d*<<(?!<)/.test(word))
      .join(' '),
  );
  const text = lines.filter((_, index) => isInside(first + index)).join('\n');
  // `RUN python3 <<EOF` and `cat <<EOF >file` get it as data, and `#!` names another reader.
  const [, other = 'sh'] = /^\s*#!\s*(?:\S*\/env\s+(?:-S\s+)?)?(\S+)/.exec(text) ?? [];
  const isScript =
    readers.length === 0
      ? isShell(programOf([other]))
      : readers.some(({ words, piped }) => !piped && isShell(programOf(words)));
  return [...readers, ...(isScript ? commandsIn(text) : [])];
}

/** What `sh -c '…'` runs. */
function within({ words }: Command): readonly Command[] {
  const script = isShell(programOf(words)) ? scriptOf(words) : undefined;
  return script === undefined ? [] : commandsIn(script);
}

/** The word after `-c`, or `-ec`. */
export const scriptOf = (words: readonly string[]): string | undefined => {
  const flag = words.findIndex((word) => /^-\w*c$/.test(word));
  return flag === -1 ? undefined : words[flag + 1];
};

/** @param script its lines are commands, unless one ends in a backslash */
export function commandsIn(script: string): readonly Command[] {
  const commands: { words: string[]; piped: boolean; replaces?: boolean }[] = [{ words: [], piped: false }];
  // What follows is a file's name, or the user of `sudo -u`; a flag of `sudo`; a pattern of a `case`, where `|` is no pipe.
  let [isFile, isFlag, isPattern] = [false, false, false];
  for (const token of tokensOf(script)) {
    const current = commands.at(-1);
    const word = typeof token === 'string' ? token : 'op' in token && token.op === 'glob' ? token.pattern : undefined;
    const op = typeof token === 'object' && 'op' in token && word === undefined ? token.op : undefined;
    if (current === undefined || (word === undefined && op === undefined)) continue;
    if (isPattern) isPattern = op !== ')' && word !== 'esac';
    else if (word === undefined && TO_FILE.test(op ?? '')) {
      isFile = true;
      if (/^\d$/.test(current.words.at(-1) ?? '')) current.words.pop();
    } else if (op === '<(') current.words.push('<(');
    else if (op !== undefined) {
      isPattern = op.startsWith(';;');
      commands.push({ words: [], piped: op.startsWith('|') && op !== '||' });
    } else if (isFile) isFile = false;
    else if (word !== undefined && current.words.length === 0) {
      if (word === 'exec') current.replaces = true;
      if (BEFORE.test(word)) isFlag = !word.includes('=');
      else if (isFlag && word.startsWith('-')) isFile = /^-\w*[agu]$/.test(word);
      else if (word === 'in') isPattern = true;
      else if (!END.test(word)) current.words.push(word);
    } else if (word !== undefined) {
      current.words.push(word);
      if (word === 'in' && current.words[0] === 'case') isPattern = true;
    }
    if (op !== undefined && !TO_FILE.test(op)) [isFile, isFlag] = [false, false];
  }
  return commands.filter(({ words }) => words.length > 0);
}

/** A `#` within a word begins no comment. */
const HASH = '\uE000';

function tokensOf(script: string) {
  return script
    .replaceAll(/\\\r?\n/g, ' ')
    .replaceAll(/(?<=[^\s;&|()])#/g, HASH)
    .replaceAll(/\$\{(\w+)\b[^{}]*\}/g, '$${$1}')
    .split('\n')
    .flatMap((line) => [...tokensOfLine(line), { op: ';' as const }]);
}

function tokensOfLine(line: string) {
  try {
    return parse(line, (name) => `$${name}`).map((token) =>
      typeof token === 'string' ? token.replaceAll(HASH, '#') : token,
    );
  } catch {
    // What it can't read it can't judge.
    return [];
  }
}

const programOf = ([path = '']: readonly string[]) => path.slice(path.lastIndexOf('/') + 1);

/**
 * Its flags (`-y`, `--frozen-lockfile`) apart from what they are about.
 * @param valued the flags that take the next word along
 */
export function split({ words }: Pick<Command, 'words'>, valued = /(?!)/) {
  const rest = words.slice(1);
  const isValue = (index: number) => valued.test(rest[index - 1] ?? '');
  return {
    program: programOf(words),
    flags: rest.filter((each) => each.startsWith('-')),
    names: rest.filter((each, index) => !each.startsWith('-') && !isValue(index)),
  };
}
