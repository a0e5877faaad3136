import { posix } from 'node:path';
import {
  type CallExpression,
  type Class,
  type Function as FunctionNode,
  type Node,
  type Program,
  visitorKeys,
} from 'oxc-parser';
import type { Source } from './source.ts';

/** What a name was given: the whole of an expression, or the part of it that a destructuring picks. */
interface Value {
  readonly expr: Node;
  readonly path: readonly string[];
}

export interface Binding {
  readonly name: string;
  readonly values: Value[];
  /** A function or a class. */
  readonly definition?: Node;
  readonly parameter?: { readonly of: Callable; readonly index: number; readonly path: readonly string[] };
  readonly imported?: { readonly from: string; readonly name: string; readonly module: Module };
}

/** An exported name: an expression of this module, or a name of another. */
type Export = { readonly expr: Node } | { readonly from: string; readonly name: string };

export interface Module extends Source {
  readonly path: string;
  /** All of them, in the order of the text. */
  readonly nodes: readonly Node[];
  readonly exports: Map<string, Export>;
  readonly stars: string[];
}

/**
 * What an expression stands for: a dotted name of something outside (`child_process.exec`; that of a parameter begins
 * with `?`), or the node that defines it.
 */
export type Meaning = string | Node | undefined;

const isSyntax = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';

/** Part of what `node` is made of, in the order of the text. */
function childrenOf(node: Node): Node[] {
  return (visitorKeys[node.type] ?? []).flatMap((key) => {
    const value: unknown = Reflect.get(node, key);
    return Array.isArray(value) ? value.filter(isSyntax) : isSyntax(value) ? [value] : [];
  });
}

/** Without what changes types and grouping only: `x as T`, `x!`, `x satisfies T`, `a?.b`, `{x}` in JSX. */
export function unwrap(given: Node): Node {
  let node = given;
  for (;;) {
    const inner =
      node.type === 'SequenceExpression' ? node.expressions.at(-1) : 'expression' in node ? node.expression : undefined;
    if (!isSyntax(inner)) return node;
    node = inner;
  }
}

export type Callable = FunctionNode | Extract<Node, { type: 'ArrowFunctionExpression' }>;
export const isFunction = (node: Node): node is Callable =>
  node.type === 'FunctionDeclaration' || node.type === 'FunctionExpression' || node.type === 'ArrowFunctionExpression';
const isClass = (node: Node): node is Class => node.type === 'ClassDeclaration' || node.type === 'ClassExpression';

/** What a text in the code is, in quotes of whatever kind. */
export function textOf(node: Node): string | undefined {
  if (node.type === 'Literal') return typeof node.value === 'string' ? node.value : undefined;
  const only = node.type === 'TemplateLiteral' && node.expressions.length === 0 ? node.quasis[0] : undefined;
  return only?.value.cooked ?? undefined;
}

/** The name of a property that can be read from the text: `a.b`, `a['b']`, `a.#b`, `{ b: 1 }`. */
export function keyOf(key: Node, computed: boolean): string | undefined {
  if (key.type === 'PrivateIdentifier') return `#${key.name}`;
  if (key.type === 'JSXIdentifier' || (!computed && key.type === 'Identifier')) return key.name;
  return textOf(key) ?? (key.type === 'Literal' ? String(key.value) : undefined);
}

const isName = (node: Node, name: string) => node.type === 'Identifier' && node.name === name;
const isModuleExports = (node: Node) =>
  node.type === 'MemberExpression' &&
  isName(node.object, 'module') &&
  keyOf(node.property, node.computed) === 'exports';

interface Named {
  readonly id: Extract<Node, { type: 'Identifier' }>;
  readonly path: readonly string[];
  readonly defaults: readonly Node[];
}

/** The names that a pattern declares, and where in the whole each is. */
function namesIn(pattern: Node, path: readonly string[] = [], defaults: readonly Node[] = []): Named[] {
  switch (pattern.type) {
    case 'Identifier':
      return [{ id: pattern, path, defaults }];
    case 'ObjectPattern':
      return pattern.properties.flatMap((each) =>
        each.type === 'RestElement'
          ? namesIn(each, path, defaults)
          : namesIn(each.value, [...path, keyOf(each.key, each.computed) ?? '*'], defaults),
      );
    case 'ArrayPattern':
      return pattern.elements.flatMap((each, index) => (each ? namesIn(each, [...path, String(index)], defaults) : []));
    case 'AssignmentPattern':
      return namesIn(pattern.left, path, [...defaults, pattern.right]);
    case 'RestElement':
      return namesIn(pattern.argument, path, defaults);
    case 'TSParameterProperty':
      return namesIn(pattern.parameter, path, defaults);
    default:
      return [];
  }
}

const scopes = new Set([
  'Program',
  'BlockStatement',
  'ForStatement',
  'ForOfStatement',
  'ForInStatement',
  'CatchClause',
]);
const opensBlock = (node: Node) => isFunction(node) || scopes.has(node.type) || node.type === 'SwitchStatement';
const opensBody = (node: Node) => isFunction(node) || node.type === 'Program' || node.type === 'StaticBlock';

/** All modules of a scan: who declares a name, who calls a function, what is exported again. */
export class Project {
  readonly modules = new Map<string, Module>();
  readonly #parents = new WeakMap<Node, Node>();
  readonly #scopes = new WeakMap<Node, Map<string, Binding>>();
  readonly #moduleOf = new WeakMap<Program, Module>();
  /** The nearest node around each that may declare names. */
  readonly #homes = new WeakMap<Node, Node>();
  /** What members of a name, or of a class by `this`, are given later. */
  readonly #written = new WeakMap<Node | Binding, Set<string>>();
  readonly #meant = new Map<Binding, Meaning>();
  #calls: Map<Node, CallExpression[]> | undefined;
  #exported: Set<Node> | undefined;
  #depth = 0;

  /** @param path absolute, with `/`: imports are followed by it */
  add(path: string, source: Source): Module {
    const module: Module = { ...source, path, nodes: [...this.nodes(source.program)], exports: new Map(), stars: [] };
    this.modules.set(path, module);
    this.#meant.clear();
    this.#moduleOf.set(module.program, module);
    const assignments: Node[] = [];
    for (const node of module.nodes) {
      const home = opensBlock(node) || isClass(node) || node.type === 'StaticBlock' ? node : this.#homes.get(node);
      for (const child of childrenOf(node)) {
        this.#parents.set(child, node);
        if (home) this.#homes.set(child, home);
      }
      this.#declare(node, module);
      this.#export(node, module);
      if (node.type === 'AssignmentExpression') assignments.push(node);
    }
    // Last, since a name may be declared below.
    for (const node of assignments) {
      if (node.type !== 'AssignmentExpression') continue;
      let { left }: { left: Node } = node;
      // What is put into an object may come out of it, by whatever name.
      let key: string | undefined;
      while (left.type === 'MemberExpression') {
        key = keyOf(left.property, left.computed) ?? '*';
        left = unwrap(left.object);
      }
      const owner = this.#owner(left);
      if (owner && key) this.#written.set(owner, (this.#written.get(owner) ?? new Set()).add(key));
      if (left.type !== 'Identifier') {
        for (const { id, path: place } of namesIn(left)) {
          this.lookup(id, id.name)?.values.push({ expr: node.right, path: place });
        }
        continue;
      }
      this.lookup(left, left.name)?.values.push({ expr: node.right, path: [] });
    }
    return module;
  }

  /** Without recursion: a chain of 10,000 additions is as many levels deep. */
  *nodes(root: Node): Generator<Node> {
    const stack = [root];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      yield node;
      stack.push(...childrenOf(node).reverse());
    }
  }

  parent = (node: Node): Node | undefined => this.#parents.get(node);

  /** The nearest one around `node`. */
  around(node: Node, is: (node: Node) => boolean): Node | undefined {
    let found = this.parent(node);
    while (found !== undefined && !is(found)) found = this.parent(found);
    return found;
  }

  moduleOf(node: Node): Module | undefined {
    const program = node.type === 'Program' ? node : this.around(node, ({ type }) => type === 'Program');
    return program?.type === 'Program' ? this.#moduleOf.get(program) : undefined;
  }

  #owner(node: Node): Node | Binding | undefined {
    return node.type === 'Identifier'
      ? this.lookup(node, node.name)
      : node.type === 'ThisExpression'
        ? this.around(node, isClass)
        : undefined;
  }

  /** Who declares `name`, seen from `from`; nobody: it's global. */
  lookup(from: Node, name: string): Binding | undefined {
    for (let node: Node | undefined = from; node !== undefined; node = this.#homes.get(node)) {
      const binding = this.#scopes.get(node)?.get(name);
      if (binding !== undefined) return binding;
    }
    return undefined;
  }

  /** Who calls this function, as far as the scanned files show it. */
  callsOf(fn: Node): readonly CallExpression[] {
    if (this.#calls === undefined) {
      const calls = new Map<Node, CallExpression[]>();
      for (const module of this.modules.values()) {
        for (const node of module.nodes) {
          if (node.type !== 'CallExpression') continue;
          const callee = this.meaning(node.callee);
          if (typeof callee !== 'object') continue;
          const known = calls.get(callee);
          if (known) known.push(node);
          else calls.set(callee, [node]);
        }
      }
      this.#calls = calls;
    }
    return this.#calls.get(fn) ?? [];
  }

  /** Whether others than the scanned files may call it. */
  isExported(fn: Node): boolean {
    if (this.#exported === undefined) {
      const all = [...this.modules.values()].flatMap((module) =>
        [...module.exports.keys()].map((name) => this.#exportOf(module, name)),
      );
      this.#exported = new Set(all.filter((meaning) => typeof meaning === 'object'));
    }
    return this.#exported.has(fn);
  }

  /** Follows variables, destructuring, imports and re-exports. Undefined where the text doesn't say. */
  meaning(given: Node): Meaning {
    if (this.#depth > 60) return undefined;
    this.#depth++;
    try {
      return this.#meaning(unwrap(given));
    } finally {
      this.#depth--;
    }
  }

  #meaning(node: Node): Meaning {
    switch (node.type) {
      case 'Identifier': {
        const binding = this.lookup(node, node.name);
        return binding === undefined ? node.name : this.#bound(binding);
      }
      case 'ThisExpression':
        return this.around(node, isClass);
      case 'MemberExpression': {
        const key = keyOf(node.property, node.computed);
        const object = unwrap(node.object);
        const owner = this.#owner(object);
        const written = owner && this.#written.get(owner);
        if (key === undefined || written?.has('*')) return undefined;
        const whole = this.meaning(object);
        return typeof whole === 'object' && written?.has(key) ? undefined : this.#part(whole, [key]);
      }
      case 'AwaitExpression':
        return this.meaning(node.argument);
      case 'ImportExpression':
        return this.#required(node, node.source);
      case 'CallExpression': {
        const callee = unwrap(node.callee);
        const member = callee.type === 'MemberExpression' ? keyOf(callee.property, callee.computed) : undefined;
        const [first] = node.arguments;
        if (first === undefined) return undefined;
        // What compilers wrap a `require` in.
        if (
          /^(?:__import(?:Default|Star)|_interopRequire\w+|__toESM)$/.test(
            callee.type === 'Identifier' ? callee.name : (member ?? ''),
          )
        )
          return this.meaning(first);
        const name = this.meaning(callee);
        if (name === 'require' || name === 'process.getBuiltinModule') return this.#required(node, first);
        if (name === 'module.createRequire') return 'require';
        if (name === 'util.promisify') return this.meaning(first);
        if (typeof name === 'string' && member === 'bind') return name.slice(0, -'.bind'.length);
        // `res.status(400).send(…)`
        return typeof name === 'string' && /^\?res(?:ponse)?\.(?:status|set|header|type|cookie)$/.test(name)
          ? name.replace(/\.\w+$/, '')
          : undefined;
      }
      default:
        return node;
    }
  }

  #bound(binding: Binding): Meaning {
    if (this.#meant.has(binding)) return this.#meant.get(binding);
    // It was asked for on its way to itself: what else it is decides.
    this.#meant.set(binding, undefined);
    const meaning = this.#whatIs(binding);
    this.#meant.set(binding, meaning);
    return meaning;
  }

  #whatIs(binding: Binding): Meaning {
    const { definition, imported, parameter, values, name } = binding;
    if (definition) return definition;
    if (imported) return this.#import(imported.module, imported.from, imported.name);
    if (parameter) return this.#part(this.#given(parameter) ?? `?${name}`, parameter.path);
    for (const { expr, path } of values) {
      const meaning = this.#part(this.meaning(expr), path);
      if (meaning !== undefined) return meaning;
    }
    return undefined;
  }

  /** The first parameter of `app.get('/', handler)`, whatever its name, and that of `import('…').then(handler)`. */
  #given({ of, index }: { readonly of: Node; readonly index: number }): Meaning {
    const call = this.parent(of);
    if (call?.type !== 'CallExpression' || call.callee.type !== 'MemberExpression') return undefined;
    const verb = keyOf(call.callee.property, call.callee.computed) ?? '';
    const [route] = call.arguments;
    if (verb === 'then' && call.callee.object.type === 'ImportExpression') return this.meaning(call.callee.object);
    if (!/^(?:get|post|put|patch|delete|all|use)$/.test(verb) || route?.type !== 'Literal') return undefined;
    // The second is no `res` by its place: in Fastify it sends no HTML.
    return index === 0 ? '?req' : undefined;
  }

  #part(whole: Meaning, path: readonly string[]): Meaning {
    const [key, ...rest] = path;
    if (whole === undefined || key === undefined) return whole;
    if (typeof whole === 'string') return [whole, ...path.filter((name) => name !== 'default')].join('.');
    if (whole.type === 'Program') {
      const module = this.#moduleOf.get(whole);
      return module && this.#part(this.#exportOf(module, key), rest);
    }
    const members = isClass(whole) ? whole.body.body : whole.type === 'ObjectExpression' ? whole.properties : [];
    for (const member of members) {
      if (member.type !== 'Property' && member.type !== 'MethodDefinition' && member.type !== 'PropertyDefinition')
        continue;
      if (keyOf(member.key, member.computed) !== key || member.value === null) continue;
      // What it gives is made when it is read.
      if ('kind' in member && (member.kind === 'get' || member.kind === 'set')) return undefined;
      return this.#part(this.meaning(member.value), rest);
    }
    return undefined;
  }

  #required(from: Node, source: Node): Meaning {
    const module = this.moduleOf(from);
    const name = textOf(source);
    return module && name !== undefined ? this.#import(module, name, '*') : undefined;
  }

  #import(module: Module, from: string, name: string): Meaning {
    const outside = from.replace(/^node:/, '');
    if (!from.startsWith('.')) return name === '*' || name === 'default' ? outside : `${outside}.${name}`;
    const target = this.#resolve(module, from);
    if (target === undefined) return undefined;
    const cjs = target.exports.get('module.exports');
    if (name !== '*')
      return (
        this.#exportOf(target, name) ??
        (cjs && this.#part(this.#exportOf(target, 'module.exports'), name === 'default' ? [] : [name]))
      );
    return cjs ? this.#exportOf(target, 'module.exports') : target.program;
  }

  #exportOf(module: Module, name: string): Meaning {
    if (this.#depth > 60) return undefined;
    this.#depth++;
    try {
      const found = module.exports.get(name);
      if (found !== undefined)
        return 'expr' in found ? this.meaning(found.expr) : this.#import(module, found.from, found.name);
      for (const from of module.stars) {
        const meaning = this.#import(module, from, name);
        if (meaning !== undefined) return meaning;
      }
      return undefined;
    } finally {
      this.#depth--;
    }
  }

  #resolve(module: Module, from: string): Module | undefined {
    const base = posix.join(posix.dirname(module.path), from);
    const stem = base.replace(/\.[cm]?jsx?$/, '');
    const endings = ['ts', 'tsx', 'mts', 'cts', 'js', 'jsx', 'mjs', 'cjs'];
    const tries = [base, ...endings.flatMap((end) => [`${stem}.${end}`, `${base}/index.${end}`])];
    for (const each of tries) {
      const found = this.modules.get(each);
      if (found) return found;
    }
    return undefined;
  }

  #declare(node: Node, module: Module): void {
    if (isFunction(node)) {
      for (const [index, parameter] of node.params.entries()) {
        this.#bind(parameter, node, (path) => ({ parameter: { of: node, index, path }, values: [] }));
      }
    }
    if ((node.type === 'FunctionExpression' || node.type === 'ClassExpression') && node.id)
      this.#bind(node.id, node, () => ({ definition: node, values: [] }));
    switch (node.type) {
      case 'VariableDeclaration': {
        const scope = this.around(node, node.kind === 'var' ? opensBody : opensBlock);
        const loop = this.parent(node);
        for (const { id, init } of node.declarations) {
          const each = (loop?.type === 'ForOfStatement' || loop?.type === 'ForInStatement') && loop.left === node;
          const expr = each ? loop.right : init;
          this.#bind(id, scope, (path) => ({ values: expr ? [{ expr, path: each ? ['*', ...path] : path }] : [] }));
        }
        break;
      }
      case 'FunctionDeclaration':
      case 'ClassDeclaration':
        if (node.id) this.#bind(node.id, this.around(node, opensBlock), () => ({ definition: node, values: [] }));
        break;
      case 'CatchClause':
        if (node.param) this.#bind(node.param, node, () => ({ values: [] }));
        break;
      case 'TSImportEqualsDeclaration':
        if (node.moduleReference.type === 'TSExternalModuleReference') {
          const imported = { from: node.moduleReference.expression.value, name: '*', module };
          this.#bind(node.id, module.program, () => ({ imported, values: [] }));
        }
        break;
      case 'ImportDeclaration':
        for (const each of node.specifiers) {
          const name =
            each.type === 'ImportNamespaceSpecifier'
              ? '*'
              : each.type === 'ImportDefaultSpecifier'
                ? 'default'
                : (keyOf(each.imported, false) ?? '');
          const imported = { from: node.source.value, name, module };
          this.#bind(each.local, module.program, () => ({ imported, values: [] }));
        }
        break;
    }
  }

  /** Declares each name of a pattern in `scope`. */
  #bind(pattern: Node, scope: Node | undefined, make: (path: readonly string[]) => Omit<Binding, 'name'>): void {
    if (scope === undefined) return;
    const names = this.#scopes.get(scope) ?? new Map<string, Binding>();
    this.#scopes.set(scope, names);
    for (const { id, path, defaults } of namesIn(pattern)) {
      const made = make(path);
      const values = [...made.values, ...defaults.map((expr) => ({ expr, path: [] }))];
      names.set(id.name, { name: id.name, ...made, values });
    }
  }

  #export(node: Node, { exports, stars }: Module): void {
    if (node.type === 'TSExportAssignment') exports.set('module.exports', { expr: node.expression });
    if (node.type === 'ExportDefaultDeclaration') exports.set('default', { expr: node.declaration });
    if (node.type === 'ExportAllDeclaration') {
      const name = node.exported && keyOf(node.exported, false);
      if (name) exports.set(name, { from: node.source.value, name: '*' });
      else stars.push(node.source.value);
    }
    if (node.type === 'ExportNamedDeclaration') {
      for (const { local, exported } of node.specifiers) {
        const [inner, outer] = [keyOf(local, false), keyOf(exported, false)];
        if (inner === undefined || outer === undefined) continue;
        exports.set(outer, node.source ? { from: node.source.value, name: inner } : { expr: local });
      }
      const { declaration } = node;
      const made =
        declaration?.type === 'VariableDeclaration' ? declaration.declarations : declaration ? [declaration] : [];
      for (const each of made) {
        if (!('id' in each) || each.id === null) continue;
        for (const { id } of namesIn(each.id)) exports.set(id.name, { expr: id });
      }
    }
    if (node.type === 'AssignmentExpression' && node.left.type === 'MemberExpression') {
      const { object, property, computed } = node.left;
      const key = keyOf(property, computed);
      if (key === undefined) return;
      if (isName(object, 'exports') || isModuleExports(object)) exports.set(key, { expr: node.right });
      if (isModuleExports(node.left)) exports.set('module.exports', { expr: node.right });
    }
  }
}
