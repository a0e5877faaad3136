import { type Expression, type Function as FunctionNode, type Program, parseSync, Visitor } from 'oxc-parser';

export interface ImportRequest {
  readonly specifier: string;
  readonly offset: number;
}

/** A test's name; `pattern` matches it as vitest reports it, for a name with placeholders (`${n}`, `%s`, `$name`). */
export interface TestName {
  readonly text: string;
  readonly pattern: RegExp;
  readonly offset: number;
}

export interface Helper {
  readonly name: string;
  /** Its code without comments, layout and type annotations of the file around it. */
  readonly code: string;
  readonly offset: number;
}

/**
 * The modules that a file asks for: imports, re-exports, `import()` and `typeof import()` of a literal, and a package whose
 * folder it looks for by `findPackageJSON`.
 */
export function importsOf(file: string, text: string): readonly ImportRequest[] {
  const found: ImportRequest[] = [];
  const add = (source: { value: unknown; start: number } | null): void => {
    if (typeof source?.value === 'string') found.push({ specifier: source.value, offset: source.start });
  };
  new Visitor({
    ImportDeclaration: ({ source }) => add(source),
    ExportNamedDeclaration: ({ source }) => add(source),
    ExportAllDeclaration: ({ source }) => add(source),
    ImportExpression: ({ source }) => add(source.type === 'Literal' ? source : null),
    TSImportType: ({ source }) => add(source),
    CallExpression: ({ callee, arguments: [first] }) => {
      if (callee.type === 'Identifier' && callee.name === 'findPackageJSON' && first?.type === 'Literal') add(first);
    },
  }).visit(parse(file, text));
  return found.sort((a, b) => a.offset - b.offset);
}

/** The names given to `test(…)` and `it(…)`, and to their variants such as `test.each(…)(…)`. */
export function testNames(file: string, text: string): readonly TestName[] {
  const found: TestName[] = [];
  new Visitor({
    CallExpression: ({ callee, arguments: [first] }) => {
      if (first === undefined || first.type === 'SpreadElement' || !isTest(callee)) return;
      const name = nameOf(first);
      if (name) found.push({ ...name, offset: first.start });
    },
  }).visit(parse(file, text));
  return found;
}

function isTest(callee: Expression): boolean {
  if (callee.type === 'Identifier') return callee.name === 'test' || callee.name === 'it';
  // test.only, test.concurrent; test.each(rows) is a call that gives the function.
  if (callee.type === 'MemberExpression') return isTest(callee.object as Expression);
  if (callee.type === 'CallExpression') return callee.callee.type === 'MemberExpression' && isTest(callee.callee);
  if (callee.type === 'TaggedTemplateExpression') return isTest(callee.tag);
  return false;
}

function nameOf(node: Expression): Omit<TestName, 'offset'> | undefined {
  if (node.type === 'Literal' && typeof node.value === 'string') {
    const pieces = node.value.split(/%[sdifjo#$%]|\$[a-zA-Z_][\w.]*/);
    return { text: node.value, pattern: matching(pieces) };
  }
  if (node.type !== 'TemplateLiteral') return undefined;
  const pieces = node.quasis.map(({ value }) => value.cooked ?? value.raw);
  return { text: pieces.join('…'), pattern: matching(pieces) };
}

function matching(pieces: readonly string[]): RegExp {
  return new RegExp(`^${pieces.map((piece) => RegExp.escape(piece)).join('.+')}$`);
}

/** The functions that a file declares at its top level. */
export function helpersOf(file: string, text: string): readonly Helper[] {
  const { program, comments } = parseFile(file, text);
  const code = (start: number, end: number): string => {
    const inside = comments.filter((comment) => comment.start >= start && comment.end <= end);
    let bare = '';
    let at = start;
    for (const comment of inside) {
      bare += text.slice(at, comment.start);
      at = comment.end;
    }
    return `${bare}${text.slice(at, end)}`.replace(/\s+/g, ' ').trim();
  };
  return program.body.flatMap((statement): Helper[] => {
    const node = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (node?.type === 'FunctionDeclaration') return helper(node, node.id?.name);
    if (node?.type !== 'VariableDeclaration') return [];
    return node.declarations.flatMap(({ id, init }) =>
      id.type === 'Identifier' && (init?.type === 'ArrowFunctionExpression' || init?.type === 'FunctionExpression')
        ? helper(init, id.name)
        : [],
    );
  });

  function helper(node: Pick<FunctionNode, 'start' | 'end'>, name: string | undefined): Helper[] {
    return name === undefined ? [] : [{ name, code: code(node.start, node.end), offset: node.start }];
  }
}

function parse(file: string, text: string): Program {
  return parseFile(file, text).program;
}

function parseFile(file: string, text: string) {
  const lang = file.endsWith('.d.ts') ? 'dts' : file.endsWith('.tsx') ? 'tsx' : 'ts';
  return parseSync(file, text, { lang, sourceType: 'module' });
}
