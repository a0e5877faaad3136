import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';
import type { Lab } from '../labs.ts';
import { execTsc } from './exec.ts';
import { filesUnder } from './files.ts';
import type { Finding, Gate } from './gate.ts';
import { pooled } from './pooled.ts';
import { Scratch } from './scratch.ts';
import { diagnosticsOf } from './tsc.ts';

/**
 * The stub has the same exported types as src/. Both are turned into declarations, private members are dropped from them
 * (they would make two classes incomparable), and the compiler then compares each export in both directions.
 */
export const exercise: Gate = {
  name: 'exercise',
  why: 'a learner who fills in the stub ends with what the suite, the demo and the reader of src/ expect',
  scope: 'lab',
  async run({ root, labs }) {
    const found = await pooled(labs, 2, (lab) => compare(root, lab));
    return found.flat();
  },
};

async function compare(root: string, lab: Lab): Promise<Finding[]> {
  await using scratch = await Scratch.in(lab.dir);
  const where = relative(root, join(lab.dir, 'exercise/index.ts'));
  // Declarations are wanted whatever the state of the code: its own errors are for the gate on types.
  const emit = ['--declaration', '--emitDeclarationOnly', '--noEmit', 'false', '--allowImportingTsExtensions', 'false'];
  const rewrite = ['--rewriteRelativeImportExtensions', '--noCheck', '--rootDir', lab.dir, '--outDir', scratch.dir];
  await writeFile(
    scratch.path('tsconfig.emit.json'),
    JSON.stringify({
      extends: join(lab.dir, 'tsconfig.json'),
      include: [join(lab.dir, 'src'), join(lab.dir, 'exercise')],
    }),
  );
  const emitted = await execTsc(['-p', scratch.path('tsconfig.emit.json'), ...emit, ...rewrite], {
    cwd: lab.dir,
  });
  const declarations = (await filesUnder(scratch.dir)).filter((file) => file.endsWith('.d.ts'));
  const [mine, theirs] = ['exercise/index.d.ts', 'src/index.d.ts'];
  for (const file of [mine, theirs]) {
    if (declarations.includes(file)) continue;
    const what = `tsc writes no declarations for ${file.replace('.d.ts', '.ts')}: ${emitted.stdout.trim().slice(0, 300)}`;
    return [{ where, what, remedy: 'the file must exist and parse' }];
  }
  for (const file of declarations) {
    const text = await readFile(scratch.path(file), 'utf8');
    await writeFile(scratch.path(file), withoutPrivates(file, text));
  }
  const reference = await exportsOf(scratch, theirs);
  const stub = await exportsOf(scratch, mine);
  const findings = nameFindings(where, reference, stub);
  const common = [...reference.values()].filter(({ name }) => stub.has(name));
  const checks = common.flatMap((each) => comparisons(each, stub.get(each.name)));
  await writeFile(scratch.path('compare.ts'), program(checks));
  await writeFile(
    scratch.path('tsconfig.json'),
    JSON.stringify({
      extends: join(lab.dir, 'tsconfig.json'),
      compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
      include: ['compare.ts'],
    }),
  );
  const compared = await execTsc(['--noEmit', '--pretty', 'false', '-p', scratch.dir], {
    cwd: scratch.dir,
  });
  const objections = new Map<string, string>();
  for (const { file, where: place, text } of diagnosticsOf(compared, scratch.dir)) {
    const check = checks[Number(place.split(':').at(-1)) - firstLine];
    if (file !== 'compare.ts' || check === undefined) objections.set(place, `${place}: ${text}`);
    else if (!objections.has(check.name)) objections.set(check.name, `${check.claim}\n${text}`);
  }
  return [
    ...findings,
    ...[...objections.values()].map((what) => ({ where, what, remedy: 'give the stub the very signature of src/' })),
  ];
}

/** Private members carry no promise, and a class with any is comparable to itself alone. */
function withoutPrivates(file: string, declarations: string): string {
  const cuts: (readonly [start: number, end: number])[] = [];
  new Visitor({
    ClassBody: ({ body }) => {
      for (const member of body) {
        const hidden =
          'accessibility' in member && (member.accessibility === 'private' || member.accessibility === 'protected');
        const secret = 'key' in member && member.key.type === 'PrivateIdentifier';
        // A private constructor says that nobody else constructs: that is a promise.
        const constructs = 'kind' in member && member.kind === 'constructor';
        if ((hidden || secret) && !constructs) cuts.push([member.start, member.end]);
      }
    },
  }).visit(parseSync(file, declarations, { lang: 'dts', sourceType: 'module' }).program);
  return cuts.toReversed().reduce((text, [start, end]) => text.slice(0, start) + text.slice(end), declarations);
}

interface Export {
  readonly name: string;
  /** The names of its type parameters, for an interface or an alias that has any. */
  readonly parameters: readonly { readonly bound: boolean }[];
  readonly isValue: boolean;
  readonly isType: boolean;
}

/** The exports of a declaration file, followed through its re-exports. */
async function exportsOf(
  scratch: Scratch,
  file: string,
  seen = new Set<string>(),
): Promise<ReadonlyMap<string, Export>> {
  const found = new Map<string, Export>();
  if (seen.has(file)) return found;
  seen.add(file);
  const text = await readFile(scratch.path(file), 'utf8').catch(() => '');
  const { program: tree } = parseSync(file, text, { lang: 'dts', sourceType: 'module' });
  const local = new Map<string, Export>();
  const imported = new Map<string, { from: string; name: string }>();
  const declare = (
    name: string | undefined,
    kind: Pick<Export, 'isValue' | 'isType'>,
    parameters: Export['parameters'] = [],
  ) => {
    if (name === undefined) return;
    const before = local.get(name);
    local.set(name, {
      name,
      parameters: parameters.length > 0 ? parameters : (before?.parameters ?? []),
      isValue: kind.isValue || (before?.isValue ?? false),
      isType: kind.isType || (before?.isType ?? false),
    });
  };
  const resolve = (source: string): string => join(file, '..', source.replace(/\.[jt]s$/, '.d.ts'));

  for (const statement of tree.body) {
    const node = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (node?.type === 'ImportDeclaration' && node.source.value.startsWith('.')) {
      for (const each of node.specifiers) {
        if (each.type !== 'ImportSpecifier') continue;
        const name = each.imported.type === 'Identifier' ? each.imported.name : each.imported.value;
        imported.set(each.local.name, { from: resolve(node.source.value), name });
      }
    }
    if (node?.type === 'TSInterfaceDeclaration' || node?.type === 'TSTypeAliasDeclaration') {
      const parameters = node.typeParameters?.params.map(({ constraint }) => ({ bound: constraint !== null })) ?? [];
      declare(node.id.name, { isValue: false, isType: true }, parameters);
    }
    if (node?.type === 'ClassDeclaration') declare(node.id?.name, { isValue: true, isType: false });
    if (node?.type === 'FunctionDeclaration' || node?.type === 'TSDeclareFunction') {
      declare(node.id?.name, { isValue: true, isType: false });
    }
    if (node?.type === 'VariableDeclaration') {
      for (const { id } of node.declarations) {
        if (id.type === 'Identifier') declare(id.name, { isValue: true, isType: false });
      }
    }
  }
  for (const statement of tree.body) {
    if (statement.type === 'ExportAllDeclaration' && statement.source.value.startsWith('.')) {
      for (const [name, each] of await exportsOf(scratch, resolve(statement.source.value), seen)) found.set(name, each);
    }
    if (statement.type !== 'ExportNamedDeclaration') continue;
    const { declaration } = statement;
    const declared =
      declaration?.type === 'VariableDeclaration'
        ? declaration.declarations.map(({ id }) => (id.type === 'Identifier' ? id.name : ''))
        : declaration !== null && 'id' in declaration && declaration.id?.type === 'Identifier'
          ? [declaration.id.name]
          : [];
    for (const name of declared) {
      const each = local.get(name);
      if (each) found.set(name, each);
    }
    for (const each of statement.specifiers) {
      if (each.local.type === 'Literal' || each.exported.type === 'Literal') continue;
      const [from, name] = [each.local.name, each.exported.name];
      const typeOnly = statement.exportKind === 'type' || each.exportKind === 'type';
      const elsewhere = statement.source ? { from: resolve(statement.source.value), name: from } : imported.get(from);
      const target = elsewhere
        ? (await exportsOf(scratch, elsewhere.from, new Set())).get(elsewhere.name)
        : local.get(from);
      // An export of a package's own: the compiler knows it, we only need its name.
      const known = target ?? { parameters: [], isValue: !typeOnly, isType: typeOnly };
      found.set(name, { ...known, name, ...(typeOnly && known.isValue ? { isValue: false, isType: true } : {}) });
    }
  }
  return found;
}

function nameFindings(
  where: string,
  reference: ReadonlyMap<string, Export>,
  stub: ReadonlyMap<string, Export>,
): readonly Finding[] {
  const missing = [...reference.keys()].filter((name) => !stub.has(name));
  const extra = [...stub.keys()].filter((name) => !reference.has(name));
  return [
    ...missing.map((name) => ({
      where,
      what: `does not export ${name}, which src/ does`,
      remedy: `export the stub of ${name}`,
    })),
    ...extra.map((name) => ({
      where,
      what: `exports ${name}, which src/ does not`,
      remedy: 'keep it private, or add it to src/',
    })),
  ];
}

interface Comparison {
  readonly name: string;
  readonly claim: string;
  readonly code: string;
}

const preamble = [
  "import type * as Src from './src/index.js';",
  "import type * as Exercise from './exercise/index.js';",
  'interface Any1 { readonly one: 1 } interface Any2 { readonly two: 2 } interface Any3 { readonly three: 3 }',
  'type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : "differ in a parameter, or in readonly, optional or overloaded members";',
];
const firstLine = preamble.length + 1;

function comparisons(each: Export, stub: Export | undefined): readonly Comparison[] {
  const { name, isValue } = each;
  if (stub === undefined) return [];
  const arity = each.parameters.length;
  if (arity !== stub.parameters.length) {
    const claim = `${name} has ${stub.parameters.length} type parameters in the exercise and ${arity} in src/`;
    return [{ name, claim, code: `export const n_${name}: ${arity} = ${stub.parameters.length};` }];
  }
  // A bound parameter takes `any`: its constraint may name a type that only its own file knows.
  const args = each.parameters.map(({ bound }, i) => (bound || i > 2 ? 'any' : `Any${i + 1}`));
  const applied = args.length > 0 ? `${name}<${args.join(', ')}>` : name;
  const type = (side: string): string => (isValue ? `typeof ${side}.${name}` : `${side}.${applied}`);
  return [
    {
      name,
      claim: `${name} of the exercise does not fit where src/ promises it`,
      code: `export const a_${name} = (it: ${type('Exercise')}): ${type('Src')} => it;`,
    },
    {
      name,
      claim: `${name} of src/ does not fit where the exercise promises it`,
      code: `export const b_${name} = (it: ${type('Src')}): ${type('Exercise')} => it;`,
    },
    {
      name,
      claim: `${name} is not the same in the exercise and in src/`,
      code: `export const c_${name}: Same<${type('Exercise')}, ${type('Src')}> = true;`,
    },
  ];
}

/** One comparison a line, so that a diagnostic's line says which one it is. */
function program(checks: readonly Comparison[]): string {
  return [...preamble, ...checks.map(({ code }) => code), ''].join('\n');
}
