import { type Class, findMember, intercept, isClass, layersOf, lineOf, type MadeClass, shown } from './class.ts';
import {
  DuplicateMemberError,
  FinalClassError,
  InvalidArgumentError,
  InvalidStepError,
  MetaConflictError,
} from './errors.ts';
import { isFinal } from './final.ts';

/** What a class body defines, in order: every `set` is one definition, and a Map of your own can object to it. */
export type Namespace = Map<string | symbol, unknown>;

/** The keywords of a class statement: `class A(Base, key='card')`. Each step has a copy of its own. */
export type Keywords = Readonly<Record<string, unknown>>;

/**
 * The steps of making a class; one that is left out is `typeMeta`'s.
 *
 * Ported from CPython, https://docs.python.org/3/reference/datamodel.html#customizing-class-creation
 */
export interface Meta {
  /** `__prepare__`: the namespace that the body will fill. */
  prepare?(name: string, bases: readonly Class[], kw: Keywords): Namespace;
  /** `__new__`: the class, from its namespace. */
  create?(name: string, bases: readonly Class[], ns: Namespace, kw: Keywords): Class;
  /** `__init__`: the class is there; register it, check it. */
  init?(cls: MadeClass, name: string, bases: readonly Class[], ns: Namespace, kw: Keywords): void;
  /** `__call__`: what `new cls(...args)` gives. A class whose meta has none is no Proxy. */
  call?(cls: MadeClass, args: readonly unknown[]): object;
}

/** How each class came to be, for those that `defineClass` made. */
const metas = new WeakMap<Class, Meta>();
const orders = new WeakMap<Class, readonly (string | symbol)[]>();
const origins = new WeakMap<Class, Class>();

/** The meta of all classes, as `type` is in Python. */
export const typeMeta: Required<Meta> = {
  prepare: () => new Map(),

  /**
   * Functions become methods, any other value becomes a static member; `constructor` runs on the new instance, after
   * the base's constructor, with the same arguments.
   *
   * JavaScript has one line of ancestors: the class extends the first base. From the others it copies the members that
   * are not there yet; their constructors don't run, and `instanceof` doesn't know of them.
   */
  create(name, bases, ns) {
    const [base, ...mixins] = bases.filter(isClass);
    const cls = shell(name, base, ns.get('constructor'));
    Object.defineProperty(cls, 'name', { value: name, configurable: true });
    for (const [key, value] of ns) {
      if (key === 'constructor') continue;
      const method = typeof value === 'function';
      const owner = method ? cls.prototype : cls;
      Object.defineProperty(owner, key, { value, writable: true, configurable: true, enumerable: !method });
    }
    for (const mixin of mixins) {
      fillIn(cls.prototype, mixin.prototype);
      fillIn(cls, mixin);
    }
    return cls;
  },

  init: () => {},

  call(cls, args) {
    return Reflect.construct(origins.get(cls) ?? cls, args, cls);
  },
};

/**
 * A meta that extends `base`: a step that is left out or undefined is that of `base`. `steps` gets the steps of `base`,
 * to call as Python's `super()`; what it returns may be an instance of a class of yours.
 *
 * `derive(typeMeta, (parent) => ({ create: (...args) => parent.create(...args) }))`
 */
export function derive(base: Meta, steps: (parent: Required<Meta>) => Meta): Meta {
  const own = steps(complete(base));
  const meta: Meta = Object.create(base);
  for (const step of ['prepare', 'create', 'init', 'call'] as const) {
    const value = own[step];
    const theirs = base[step];
    // What the class of `base` has may need its private fields; and `typeMeta.call` must stay itself.
    const inherited = Object.hasOwn(base, step) ? theirs : theirs?.bind(base);
    const chosen = value && value !== theirs ? value.bind(own) : inherited;
    // Enumerable and its own: `{ ...meta, init }` is a meta with another init.
    if (chosen)
      Object.defineProperty(meta, step, { value: chosen, enumerable: true, writable: true, configurable: true });
  }
  return meta;
}

/**
 * Makes a class, as Python's `class` statement does: the meta is chosen, prepares the namespace, `body` fills it,
 * `create` turns it into a class, `init` sees the class. What a step throws, you get, and there is no class.
 *
 * The meta is `meta`, or that of a base if it extends `meta`.
 *
 * @throws InvalidArgumentError on a base that is no class or given twice, and on an async body; FinalClassError on a
 *   final base; MetaConflictError when two metas are unrelated; InvalidStepError when `prepare` returns no Map, `create`
 *   no class or `init` a promise, and from `new` when `call` returns no object.
 */
export function defineClass(
  meta: Meta,
  name: string,
  bases: readonly Class[],
  body: (ns: Namespace) => void,
  kw: Keywords = {},
): MadeClass {
  assertBases(name, bases);
  const chosen = mostDerived(meta, name, bases);
  const steps = complete(chosen);
  const ns = asNamespace(name, steps.prepare(name, bases, { ...kw }));
  const done: unknown = body(ns);
  if (isLate(done)) {
    throw new InvalidArgumentError(
      `The body of ${name} is async: what it defines would come after the class. Await before.`,
    );
  }
  const order = Object.freeze([...ns.keys()]);
  const raw = asClass(name, steps.create(name, bases, ns, { ...kw }));
  const cls = isCallable(chosen) ? callable(raw, steps) : raw;
  metas.set(cls, chosen);
  orders.set(cls, order);
  origins.set(cls, raw);
  const seen: unknown = steps.init(cls, name, bases, ns, { ...kw });
  if (isLate(seen))
    throw new InvalidStepError(`init must be done with ${name} when it returns; it returned a promise.`);
  return cls;
}

/** Whether it is a promise. Nobody else hears of it, should it fail later. */
function isLate(done: unknown): boolean {
  if (typeof done !== 'object' || done === null || !('then' in done)) return false;
  Promise.resolve(done).catch(() => {});
  return true;
}

/** The meta that made `cls` or the nearest of its ancestors; `typeMeta` where there is none. */
export function metaOf(cls: Class): Meta {
  for (let at: unknown = cls; isClass(at); at = Reflect.getPrototypeOf(at)) {
    for (const layer of layersOf(at)) {
      const found = metas.get(layer);
      if (found) return found;
    }
  }
  return typeMeta;
}

/**
 * The names that the body of `cls` defined, in its order; `Object.keys` moves `1` before `b`. Undefined for a class
 * that `defineClass` didn't make: nobody has recorded its order.
 */
export function definitionOrder(cls: Class): readonly (string | symbol)[] | undefined {
  for (const layer of layersOf(cls)) {
    const order = orders.get(layer);
    if (order) return order;
  }
  return undefined;
}

/** A namespace that refuses the second definition of a name. @throws DuplicateMemberError from `set`. */
export class UniqueNamespace extends Map<string | symbol, unknown> {
  readonly #owner: string;

  constructor(owner: string) {
    super();
    this.#owner = owner;
  }

  override set(key: string | symbol, value: unknown): this {
    if (this.has(key)) throw new DuplicateMemberError(this.#owner, String(key));
    return super.set(key, value);
  }
}

function complete(meta: Meta): Required<Meta> {
  return {
    prepare: (...args) => (meta.prepare ? meta.prepare(...args) : typeMeta.prepare(...args)),
    create: (...args) => (meta.create ? meta.create(...args) : typeMeta.create(...args)),
    init: (...args) => meta.init?.(...args),
    call: (...args) => (meta.call ? meta.call(...args) : typeMeta.call(...args)),
  };
}

/** Whether the meta has a say in `new`; the call of `typeMeta` is what `new` does anyway. */
function isCallable(meta: Meta): boolean {
  return meta.call !== undefined && meta.call !== typeMeta.call;
}

function callable(raw: MadeClass, steps: Required<Meta>): MadeClass {
  const cls: MadeClass = intercept(raw, (_make, args) => {
    const made: unknown = steps.call(cls, args);
    if ((typeof made === 'object' && made !== null) || typeof made === 'function') return made;
    throw new InvalidStepError(`call must return an object for ${raw.name}; it returned ${shown(made)}.`);
  });
  return cls;
}

function asNamespace(name: string, prepared: unknown): Namespace {
  if (prepared instanceof Map) return prepared;
  throw new InvalidStepError(`prepare must return a Map for ${name}; it returned ${shown(prepared)}.`);
}

function asClass(name: string, created: unknown): MadeClass {
  if (isClass(created)) return created;
  throw new InvalidStepError(`create must return a class for ${name}; it returned ${shown(created)}.`);
}

/** A class without members; one without a constructor of its own, where there is no `body`, costs nothing at `new`. */
function shell(name: string, base: MadeClass | undefined, body: unknown): Class {
  if (body === undefined) return base ? class extends base {} : class {};
  // An async one would fail where nobody hears it.
  if (typeof body !== 'function' || Object.prototype.toString.call(body) !== '[object Function]')
    throw new InvalidArgumentError(`${name}.constructor is no plain function.`);
  const run = (self: object, args: readonly unknown[]) => void Reflect.apply(body, self, args);
  if (!base) {
    return class {
      constructor(...args: unknown[]) {
        run(this, args);
      }
    };
  }
  return class extends base {
    constructor(...args: unknown[]) {
      super(...args);
      run(this, args);
    }
  };
}

/** The one of `meta` and the bases' metas that extends all the others. */
function mostDerived(meta: Meta, name: string, bases: readonly Class[]): Meta {
  let winner = meta;
  for (const base of bases) {
    const theirs = metaOf(base);
    if (isDerived(winner, theirs)) continue;
    if (!isDerived(theirs, winner)) throw new MetaConflictError(name, base.name);
    winner = theirs;
  }
  return winner;
}

function isDerived(meta: Meta, from: Meta): boolean {
  return meta === from || from === typeMeta || Object.prototype.isPrototypeOf.call(from, meta);
}

/** Copies what `from` has or inherits, and `to` lacks; not what every object has. */
function fillIn(to: object, from: object): void {
  for (const at of lineOf(from)) {
    for (const key of Reflect.ownKeys(at)) {
      const descriptor = Reflect.getOwnPropertyDescriptor(at, key);
      if (descriptor && !findMember(to, key)) Object.defineProperty(to, key, descriptor);
    }
  }
}

function assertBases(name: string, bases: readonly Class[]): void {
  for (const [index, base] of bases.entries()) {
    if (!isClass(base)) throw new InvalidArgumentError(`${name} can't extend ${shown(base)}: it is no class.`);
    if (bases.indexOf(base) !== index) throw new InvalidArgumentError(`${name} names its base ${base.name} twice.`);
    if (isFinal(base)) throw new FinalClassError(base.name);
  }
}
