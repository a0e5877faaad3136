import type { Expression, Node, SpreadElement } from 'oxc-parser';
import { type Binding, type Callable, isFunction, keyOf, type Project, unwrap } from './project.ts';

/** Who is in danger: what cleans a text for one of them leaves it dangerous for the others. */
export type Sink = 'code' | 'shell' | 'sql' | 'path' | 'html' | 'data' | 'pattern';

/** From a stranger (`remote`), or from whoever started the process (`local`). */
export interface Taint {
  readonly kind: 'tainted';
  readonly from: 'remote' | 'local';
  readonly source: Node;
  /** The names that it went through, in order. */
  readonly through: readonly string[];
}

/** What a text may hold: what the author wrote, what can do no harm, something that the code doesn't say, or a stranger's words. */
export type Flow = { readonly kind: 'constant' } | { readonly kind: 'safe' } | { readonly kind: 'unknown' } | Taint;

const constant: Flow = { kind: 'constant' };
const safe: Flow = { kind: 'safe' };
const unknown: Flow = { kind: 'unknown' };
const rank = { constant: 0, safe: 1, unknown: 2, tainted: 3 };
const worst = (flows: readonly Flow[]): Flow =>
  flows.reduce(
    (a, b) =>
      rank[b.kind] > rank[a.kind] || (a.kind === 'tainted' && a.from === 'local' && b.kind === 'tainted') ? b : a,
    constant,
  );

const remote =
  /(?:^|[.?])(?:req|request)\.(?:query|params?|body|headers?|cookies|url|originalUrl|json|text|formData|files?)(?:$|\.)/;
const remoteMore =
  /^(?:\?(?:ctx|context)\.(?:query|params)|(?:window\.|document\.)?location\.(?:hash|search|href)|window\.name)(?:$|\.)/;
const local = /^process\.(?:argv|env)(?:$|\.)/;

const cleansAll = /^(?:Number|parseInt|parseFloat|Boolean|BigInt|Number\.\w+|Math\.\w+)$/;
const cleans: Record<Sink, RegExp> = {
  code: /^JSON\.stringify$/,
  shell: /(?:^|\.)(?:quote|shellescape|escapeShellArg|shellQuote)$/i,
  sql: /(?:^|\.)(?:escapeLiteral|escapeIdentifier|escapeId|quoteIdentifier|quoteLiteral|mysql2?\.escape|sqlstring\.escape)$/,
  path: /(?:^|\.)(?:basename|sanitizeFilename|sanitize-filename)$/,
  html: /(?:^|\.)(?:escapeHtml|escape-html|encodeURIComponent|sanitize|sanitizeHtml|sanitize-html|he\.encode)$/,
  data: /^$/,
  pattern: /(?:^|\.)(?:escapeRegExp|RegExp\.escape|escape-string-regexp)$/,
};

/** Calls that hand on what they are given. */
const passes =
  /^(?:String|Object\.(?:assign|keys|values|entries)|decodeURI(?:Component)?|encodeURI(?:Component)?|JSON\.(?:parse|stringify)|Buffer\.from|atob|path\.(?:posix\.|win32\.)?(?:join|resolve|normalize|relative|basename)|util\.format|url\.parse|structuredClone|Promise\.(?:resolve|all))$/;
const methods =
  /^(?:trim\w*|slice|substr\w*|toString|valueOf|to\w*Case|normalize|concat|replace\w*|pad\w+|repeat|split|join|at|get|getAll|pop|shift|find|filter|flat|reverse|sort|values|entries|then|match|exec|map|flatMap|reduce|text|json)$/;
/** Whose arguments end up in what they give. */
const joins = /^(?:concat|replace\w*|pad\w+|join|reduce)$/;
const callbacks = /^(?:map|flatMap|forEach|filter|find|some|every|then|reduce)$/;

/** A parameter's argument while the calls into a function are followed. */
type Known = ReadonlyMap<Node, readonly Flow[]>;

/** Where a text comes from: through variables, calls and modules of one project, as far as the code says it. */
export class Flows {
  readonly #project: Project;
  readonly #guards = new Map<Binding, Guard[]>();
  readonly #active = new Set<Binding>();
  readonly #results = new Map<Node, readonly (Node | null)[]>();
  #fuel = 0;
  #depth = 0;

  constructor(project: Project) {
    this.#project = project;
    for (const guard of [...project.modules.values()].flatMap(({ nodes }) => guardsOf(project, nodes))) {
      const known = this.#guards.get(guard.binding);
      if (known) known.push(guard);
      else this.#guards.set(guard.binding, [guard]);
    }
  }

  /** The worst that `expr` may hold for this sink. Bounded: what takes too long to follow is unknown. */
  of(expr: Node, sink: Sink): Flow {
    this.#fuel = 2_000;
    return this.follow(expr, sink, new Map());
  }

  protected follow(given: Node, sink: Sink, known: Known): Flow {
    if (this.#fuel-- < 0 || this.#depth > 150) return unknown;
    this.#depth++;
    try {
      return this.#step(unwrap(given), sink, known);
    } finally {
      this.#depth--;
    }
  }

  #all(nodes: readonly (Node | null)[], sink: Sink, known: Known): Flow {
    return worst(nodes.map((node) => (node === null ? constant : this.follow(node, sink, known))));
  }

  #step(node: Node, sink: Sink, known: Known): Flow {
    switch (node.type) {
      case 'Literal':
        return constant;
      case 'TemplateLiteral':
        return this.#all(node.expressions, sink, known);
      case 'BinaryExpression':
        return node.operator === '+' ? this.#all([node.left, node.right], sink, known) : safe;
      case 'UnaryExpression':
      case 'UpdateExpression':
        return safe;
      case 'LogicalExpression':
        return this.#all([node.left, node.right], sink, known);
      case 'ConditionalExpression':
        return this.#all([node.consequent, node.alternate], sink, known);
      case 'AwaitExpression':
      case 'SpreadElement':
        return this.follow(node.argument, sink, known);
      case 'AssignmentExpression':
        return this.#all(node.operator === '=' ? [node.right] : [node.left, node.right], sink, known);
      case 'ArrayExpression':
        return this.#all(node.elements, sink, known);
      case 'ObjectExpression':
        return this.#all(
          node.properties.map((each) => (each.type === 'Property' ? each.value : each)),
          sink,
          known,
        );
      case 'Identifier':
        return this.#name(node, node.name, sink, known);
      case 'MemberExpression':
        return this.#member(node, sink, known);
      case 'NewExpression':
        return this.#handedOn(node.arguments, sink, known);
      case 'CallExpression':
        return this.#call(node, sink, known);
      case 'TaggedTemplateExpression':
        return this.#project.meaning(node.tag) === 'String.raw' ? this.follow(node.quasi, sink, known) : unknown;
      default:
        return isFunction(node) ? constant : unknown;
    }
  }

  #source(node: Node): Flow | undefined {
    const meaning = this.#project.meaning(node);
    if (typeof meaning !== 'string') return undefined;
    const from =
      remote.test(meaning) || remoteMore.test(meaning) ? 'remote' : local.test(meaning) ? 'local' : undefined;
    return from && { kind: 'tainted', from, source: node, through: [] };
  }

  #name(node: Node, name: string, sink: Sink, known: Known): Flow {
    const binding = this.#project.lookup(node, name);
    if (binding === undefined) return name === 'undefined' ? constant : (this.#source(node) ?? unknown);
    if (this.#isGuarded(node, sink)) return safe;
    const flow = this.bound(binding, node, sink, known);
    const again = flow.kind !== 'tainted' || flow.source === node || flow.through.at(-1) === name;
    return again ? flow : { ...flow, through: [...flow.through, name] };
  }

  protected bound(binding: Binding, node: Node, sink: Sink, known: Known): Flow {
    const { definition, parameter, imported, values } = binding;
    if (definition && values.length === 0) return constant;
    // It was asked for on its way to itself: what else it is decides.
    if (this.#active.has(binding)) return constant;
    this.#active.add(binding);
    try {
      if (parameter) {
        const source = this.#source(node);
        if (source) return source;
        const defaults = values.map(({ expr }) => this.follow(expr, sink, known));
        return worst([this.parameter(parameter, sink, known), ...defaults]);
      }
      if (imported) {
        const meaning = this.#project.meaning(node);
        return typeof meaning === 'object' ? this.follow(meaning, sink, known) : unknown;
      }
      if (values.length === 0) return unknown;
      return worst(values.map(({ expr, path }) => this.#picked(expr, path, node, sink, known)));
    } finally {
      this.#active.delete(binding);
    }
  }

  /** `const { host } = req.query` is told from `const { query } = req`, whose whole is nobody's words yet. */
  #picked(expr: Node, path: readonly string[], node: Node, sink: Sink, known: Known): Flow {
    const whole = this.follow(expr, sink, known);
    if (path.length === 0 || whole.kind === 'tainted') return whole;
    return this.#source(node) ?? whole;
  }

  protected parameter({ of, index }: NonNullable<Binding['parameter']>, sink: Sink, known: Known): Flow {
    const given = known.get(of);
    if (given) return given[index] ?? constant;
    const calls = this.#project.callsOf(of);
    const flows = calls.map(({ arguments: args }) => this.#argument(args, of, index, sink, known));
    const call = this.#project.parent(of);
    if (call?.type === 'CallExpression' && call.callee.type === 'MemberExpression') {
      const { object, property, computed } = call.callee;
      const method = keyOf(property, computed) ?? '';
      if (callbacks.test(method) && index === (method === 'reduce' ? 1 : 0))
        flows.push(this.follow(object, sink, known));
    }
    return worst(flows.length === 0 || this.#project.isExported(of) ? [...flows, unknown] : flows);
  }

  #argument(
    args: readonly (Expression | SpreadElement)[],
    of: Callable,
    index: number,
    sink: Sink,
    known: Known,
  ): Flow {
    if (of.params[index]?.type === 'RestElement') return this.#all(args.slice(index), sink, known);
    const spread = args.slice(0, index + 1).find(({ type }) => type === 'SpreadElement');
    const argument = spread ?? args[index];
    return argument === undefined ? constant : this.follow(argument, sink, known);
  }

  #member(node: Extract<Node, { type: 'MemberExpression' }>, sink: Sink, known: Known): Flow {
    const key = keyOf(node.property, node.computed);
    if (key === 'length' || key === 'size' || this.#isGuarded(node, sink)) return safe;
    const source = this.#source(node);
    if (source) return source;
    const meaning = this.#project.meaning(node);
    if (typeof meaning === 'object' && meaning !== node) return this.follow(meaning, sink, known);
    return this.follow(node.object, sink, known);
  }

  /** What an unknown callee does with a stranger's words isn't known; that it makes them better neither. */
  #handedOn(args: readonly Node[], sink: Sink, known: Known): Flow {
    const flow = this.#all(args, sink, known);
    return flow.kind === 'tainted' ? flow : unknown;
  }

  #call(node: Extract<Node, { type: 'CallExpression' }>, sink: Sink, known: Known): Flow {
    const { callee, arguments: args } = node;
    const method = callee.type === 'MemberExpression' ? (keyOf(callee.property, callee.computed) ?? '') : '';
    const [pattern, replacement] = args;
    if (/^replace/.test(method) && replacement && leavesListed(pattern)) return this.follow(replacement, sink, known);
    const meaning = this.#project.meaning(callee);
    if (typeof meaning === 'string') {
      if (this.isClean(meaning, sink)) return safe;
      if (passes.test(meaning) || this.#isCleaner(meaning)) return this.#all(args, sink, known);
      const whole = callee.type === 'MemberExpression' ? this.#source(callee.object) : undefined;
      const source = whole ?? this.#source(callee);
      if (source) return source;
    } else if (meaning !== undefined && isFunction(meaning)) {
      return this.returned(meaning, args, sink, known);
    }
    if (callee.type !== 'MemberExpression') return unknown;
    if (this.isClean(method, sink)) return safe;
    if (!methods.test(method) && !this.#isCleaner(method)) return unknown;
    const given = joins.test(method) || this.#isCleaner(method) ? args.filter((arg) => !isFunction(arg)) : [];
    return this.#all([callee.object, ...given], sink, known);
  }

  /** What a function of ours gives back for these arguments, and not for those of other calls. */
  protected returned(fn: Callable, args: readonly (Expression | SpreadElement)[], sink: Sink, known: Known): Flow {
    const { body } = fn;
    if (body === null || known.has(fn)) return unknown;
    const inside = new Map(known).set(
      fn,
      fn.params.map((_, index) => this.#argument(args, fn, index, sink, known)),
    );
    if (body.type !== 'BlockStatement') return this.follow(body, sink, inside);
    return this.#all(this.#resultsOf(fn, body), sink, inside);
  }

  #resultsOf(fn: Callable, body: Node): readonly (Node | null)[] {
    let results = this.#results.get(fn);
    if (results === undefined) {
      results = [...this.#project.nodes(body)].flatMap((each) =>
        (each.type === 'ReturnStatement' || each.type === 'YieldExpression') &&
        this.#project.around(each, isFunction) === fn
          ? [each.argument]
          : [],
      );
      this.#results.set(fn, results);
    }
    return results;
  }

  /** Whether what this function gives back can do no harm there. */
  protected isClean(name: string, sink: Sink): boolean {
    return cleansAll.test(name) || cleans[sink].test(name);
  }

  /** Made for another sink: for this one it hands on what it gets. */
  #isCleaner(name: string): boolean {
    return Object.values(cleans).some((names) => names.test(name));
  }

  #isGuarded(use: Node, sink: Sink): boolean {
    const place = placeOf(this.#project, use);
    return (
      place !== undefined &&
      (this.#guards.get(place.binding) ?? []).some(
        ({ path, sink: only, from, to }) =>
          path === place.path &&
          (only === undefined || only === sink) &&
          from <= use.start &&
          use.start < to &&
          !place.binding.values.some(({ expr }) => from <= expr.start && expr.start < use.start),
      )
    );
  }
}

/** `name.replace(/[^a-z]/g, '')` */
const leavesListed = (pattern: Node | undefined) =>
  pattern?.type === 'Literal' &&
  'regex' in pattern &&
  pattern.regex.flags.includes('g') &&
  /^\[\^(?:[^\]\\]|\\.)*\][+*]?$/.test(pattern.regex.pattern);

/** A name, or a member of one. */
interface Place {
  readonly binding: Binding;
  readonly path: string;
}

function placeOf(project: Project, given: Node): Place | undefined {
  let [node, path] = [unwrap(given), ''];
  while (node.type === 'MemberExpression') {
    const key = keyOf(node.property, node.computed);
    if (key === undefined) return undefined;
    path = `.${key}${path}`;
    node = unwrap(node.object);
  }
  const binding = node.type === 'Identifier' ? project.lookup(node, node.name) : undefined;
  return binding && { binding, path };
}

/** What a check has made sure of. */
interface Fact extends Place {
  /** Undefined: for each of them. */
  readonly sink?: Sink;
}

/** Where it holds. */
interface Guard extends Fact {
  readonly from: number;
  readonly to: number;
}

/** What holds where `test` is true, or where it isn't: `LIST.has(name)`, `name === 'a'`, and whatever is made of these. */
function factsOf(project: Project, given: Node, truth: boolean): Fact[] {
  const test = unwrap(given);
  if (test.type === 'UnaryExpression' && test.operator === '!') return factsOf(project, test.argument, !truth);
  if (test.type === 'LogicalExpression' && test.operator !== '??') {
    const [left, right] = [factsOf(project, test.left, truth), factsOf(project, test.right, truth)];
    if ((test.operator === '&&') === truth) return [...left, ...right];
    return left.filter((a) => right.some((b) => a.binding === b.binding && a.path === b.path && a.sink === b.sink));
  }
  if (test.type === 'BinaryExpression' && test.operator === (truth ? '===' : '!==')) {
    const place = test.right.type === 'Literal' ? placeOf(project, test.left) : undefined;
    return place ? [place] : [];
  }
  if (!truth || test.type !== 'CallExpression' || test.callee.type !== 'MemberExpression') return [];
  const { object, property, computed } = test.callee;
  const method = keyOf(property, computed) ?? '';
  const checked = method === 'startsWith' ? object : test.arguments[0];
  const place = checked && placeOf(project, checked);
  if (!place || !/^(?:has|includes|startsWith|test)$/.test(method)) return [];
  if (method === 'test' && !(object.type === 'Literal' && 'regex' in object && listsLetters(object.regex))) return [];
  return [method === 'startsWith' ? { ...place, sink: 'path' } : place];
}

/** A pattern that holds for the whole text, and names what it may be made of. */
function listsLetters({ pattern, flags }: { readonly pattern: string; readonly flags: string }): boolean {
  const plain = pattern.replaceAll(/\\[^A-Za-z]/g, '').replaceAll(/\[[^\]^][^\]]*\]/g, 'a');
  const open = /[.]|\[\^|\\[SDWPp]/.test(plain);
  const outer = plain.replaceAll(/\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)/g, '');
  return !flags.includes('m') && !open && /^\^[^|]*\$$/.test(outer);
}

const leaves = /^(?:Throw|Return|Continue|Break)Statement$/;

/** `if (!ALLOWED.has(name)) throw …`, `if (ALLOWED.has(name)) { … }`, `ALLOWED.has(name) && …`. */
function guardsOf(project: Project, nodes: readonly Node[]): Guard[] {
  return nodes.flatMap((node) => {
    const guards: Guard[] = [];
    const hold = (test: Node, truth: boolean, { start, end }: { readonly start: number; readonly end: number }) => {
      for (const fact of factsOf(project, test, truth)) guards.push({ ...fact, from: start, to: end });
    };
    if (node.type === 'LogicalExpression' && node.operator !== '??')
      hold(node.left, node.operator === '&&', node.right);
    if (node.type === 'IfStatement' || node.type === 'ConditionalExpression') {
      hold(node.test, true, node.consequent);
      if (node.alternate) hold(node.test, false, node.alternate);
    }
    if (node.type === 'IfStatement') {
      const { consequent } = node;
      const last = consequent.type === 'BlockStatement' ? consequent.body.at(-1) : consequent;
      // Up to the end of its own list of statements: behind an `else if` nothing is known.
      const body = project.parent(node);
      if (last && body && leaves.test(last.type)) hold(node.test, false, { start: node.end, end: body.end });
    }
    return guards;
  });
}
