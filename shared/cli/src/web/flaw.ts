import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiffLine, PitfallInfo } from '@shared/web';
import { structuredPatch } from 'diff';
import { type Expression, type PropertyKey, parseSync, type Span, Visitor } from 'oxc-parser';
import { filesUnder } from '../check/files.ts';

interface Source {
  /** A function, a method, a constant or a property of one by its name, as the source has it. */
  readonly parts: Map<string, string>;
  /** What each class extends, by its name. */
  readonly bases: Map<string, string>;
}

/** What a pitfall has another way than `src/`: it replaces parts of the reference, and they bear the same names. */
export class Reference {
  readonly #parts = new Map<string, string>();
  readonly #bases = new Map<string, string>();

  private constructor(sources: readonly Source[]) {
    for (const { parts, bases } of sources) {
      for (const [name, text] of parts) if (!this.#parts.has(name)) this.#parts.set(name, text);
      for (const [name, base] of bases) if (!this.#bases.has(name)) this.#bases.set(name, base);
    }
  }

  /** The reference of the lab in `dir`. */
  static async of(dir: string): Promise<Reference> {
    const src = join(dir, 'src');
    const files = (await filesUnder(src)).filter((file) => file.endsWith('.ts'));
    return new Reference(
      await Promise.all(files.map(async (file) => sourceOf(file, await readFile(join(src, file), 'utf8')))),
    );
  }

  diff(file: string, text: string): PitfallInfo['diff'] {
    const own = [...sourceOf(file, text, importedBy(file, text)).parts];
    const changed = own.flatMap(([title, mine]) => {
      const theirs = this.#partNamed(title);
      return theirs === undefined ? [] : diffOf(title, theirs, mine);
    });
    // A flaw may be something that the reference does not have.
    return changed.length > 0 ? changed : own.flatMap(([title, mine]) => diffOf(title, '', mine));
  }

  /** A method may stand in what the class extends. */
  #partNamed(title: string): string | undefined {
    const found = this.#parts.get(title);
    const [owner = '', ...rest] = title.split('.');
    const base = this.#bases.get(owner);
    return found ?? (base === undefined || base === owner ? undefined : this.#partNamed([base, ...rest].join('.')));
  }
}

function diffOf(title: string, theirs: string, mine: string): PitfallInfo['diff'] {
  const [before, after] = [bare(theirs), bare(mine)];
  if (before === after) return [];
  const lines = (text: string): string => (text === '' ? '' : `${text}\n`);
  const { hunks } = structuredPatch('', '', lines(before), lines(after), '', '', { context: 99 });
  return [{ title, lines: hunks.flatMap((hunk) => hunk.lines.map(toLine)) }];
}

/** The words that only say that a part replaces another are no difference. */
const bare = (text: string): string => text.replace(/\boverride /, '').trim();

function toLine(line: string): DiffLine {
  const [sign] = line;
  return { sign: sign === '+' || sign === '-' ? sign : ' ', text: line.slice(1) };
}

/** The names in another module of what `text` imports, by the names here. */
function importedBy(file: string, text: string): ReadonlyMap<string, string> {
  const { staticImports } = parseSync(file, text).module;
  const entries = staticImports.flatMap(({ entries }) => entries);
  return new Map(entries.map(({ localName, importName }) => [localName.value, importName.name ?? localName.value]));
}

/**
 * A method is named after its class, so that two classes may each have one of a name; with `imported`, after the class
 * of the reference that its own extends.
 */
function sourceOf(file: string, text: string, imported?: ReadonlyMap<string, string>): Source {
  const parts = new Map<string, string>();
  const bases = new Map<string, string>();
  const keep = (name: string, { start, end }: Span): void => {
    parts.set(name, dedent(text, start, end));
  };
  /** Of an object that is written down, each property is a part. */
  const keepValue = (name: string, whole: Span, value: Expression): void => {
    if (value.type !== 'ObjectExpression') keep(name, whole);
    for (const property of value.type === 'ObjectExpression' ? value.properties : []) {
      const key = property.type === 'Property' ? nameOf(property.key) : undefined;
      if (property.type === 'Property' && key !== undefined) keepValue(`${name}.${key}`, property, property.value);
    }
  };
  const { program } = parseSync(file, text);
  new Visitor({
    ClassDeclaration: ({ id, superClass, body }) => {
      const base = superClass?.type === 'Identifier' ? superClass.name : undefined;
      const named = (base && imported?.get(base)) ?? id?.name ?? '';
      if (base !== undefined) bases.set(named, base);
      for (const member of body.body) {
        if (member.type !== 'MethodDefinition' && member.type !== 'PropertyDefinition') continue;
        const key = nameOf(member.key);
        if (key !== undefined) keep(`${named}.${key}`, member);
      }
    },
    FunctionDeclaration: (node) => {
      if (node.id) keep(node.id.name, node);
    },
    VariableDeclarator: (node) => {
      if (node.id.type === 'Identifier' && node.init?.type === 'ArrowFunctionExpression') keep(node.id.name, node);
    },
  }).visit(program);
  for (const statement of program.body) {
    const declared = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    for (const node of declared?.type === 'VariableDeclaration' ? declared.declarations : [])
      if (node.id.type === 'Identifier' && node.init) keepValue(node.id.name, node, node.init);
  }
  return { parts, bases };
}

function nameOf(key: PropertyKey): string | undefined {
  if (key.type === 'Identifier' || key.type === 'PrivateIdentifier') return key.name;
  return key.type === 'Literal' ? String(key.value) : undefined;
}

/** The lines of a part, without the indentation that all but its first have in common. */
function dedent(text: string, start: number, end: number): string {
  const [first = '', ...rest] = text.slice(start, end).split('\n');
  const indents = rest.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length);
  const common = Math.min(...indents, Number.MAX_SAFE_INTEGER);
  return [first, ...rest.map((line) => line.slice(Math.min(common, line.length)))].join('\n');
}
