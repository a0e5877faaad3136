import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiffLine, PitfallInfo } from '@shared/web';
import { structuredPatch } from 'diff';
import { parseSync, Visitor } from 'oxc-parser';
import { filesUnder } from '../check/files.ts';

/** A function, a method or a constant by its name, as the source has it. */
type Parts = ReadonlyMap<string, string>;

/** What a pitfall has another way than `src/`: it replaces parts of the reference, and they bear the same names. */
export class Reference {
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The reference of the lab in `dir`. */
  static async of(dir: string): Promise<Reference> {
    const src = join(dir, 'src');
    const files = (await filesUnder(src)).filter((file) => file.endsWith('.ts'));
    const found = new Map<string, string>();
    for (const file of files) {
      for (const [name, text] of partsOf(file, await readFile(join(src, file), 'utf8')))
        if (!found.has(name)) found.set(name, text);
    }
    return new Reference(found);
  }

  diff(file: string, source: string): PitfallInfo['diff'] {
    return [...partsOf(file, source)].flatMap(([title, mine]) => {
      const theirs = this.#parts.get(title);
      if (theirs === undefined || bare(theirs) === bare(mine)) return [];
      const { hunks } = structuredPatch('', '', `${bare(theirs)}\n`, `${bare(mine)}\n`, '', '', { context: 99 });
      return [{ title, lines: hunks.flatMap(({ lines }) => lines.map(toLine)) }];
    });
  }
}

/** The words that only say that a part replaces another are no difference. */
const bare = (text: string): string => text.replace(/\boverride /, '').trim();

function toLine(line: string): DiffLine {
  const [sign] = line;
  return { sign: sign === '+' || sign === '-' ? sign : ' ', text: line.slice(1) };
}

/** A method is named after its class, so that two classes may each have one of a name. */
function partsOf(file: string, text: string): Parts {
  const found = new Map<string, string>();
  const keep = (name: string, { start, end }: { start: number; end: number }): void => {
    found.set(name, dedent(text, start, end));
  };
  new Visitor({
    ClassDeclaration: ({ id, superClass, body }) => {
      const named = superClass?.type === 'Identifier' && superClass.name !== 'Reference' ? superClass.name : id?.name;
      for (const member of body.body) {
        if (member.type !== 'MethodDefinition' && member.type !== 'PropertyDefinition') continue;
        const { key } = member;
        if (key.type === 'Identifier' || key.type === 'PrivateIdentifier') keep(`${named}.${key.name}`, member);
      }
    },
    FunctionDeclaration: (node) => {
      if (node.id) keep(node.id.name, node);
    },
    VariableDeclarator: (node) => {
      if (node.id.type === 'Identifier' && node.init?.type === 'ArrowFunctionExpression') keep(node.id.name, node);
    },
  }).visit(parseSync(file, text).program);
  return found;
}

/** The lines of a part, without the indentation that all but its first have in common. */
function dedent(text: string, start: number, end: number): string {
  const [first = '', ...rest] = text.slice(start, end).split('\n');
  const indents = rest.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length);
  const common = Math.min(...indents, Number.MAX_SAFE_INTEGER);
  return [first, ...rest.map((line) => line.slice(Math.min(common, line.length)))].join('\n');
}
