import { type AbstractClass, type Class, type Decorate, shown, whenComplete } from './class.ts';
import { DuplicateKeyError, InvalidArgumentError, NotRegistrableError, UnknownKeyError } from './errors.ts';
import { derive, type Meta, typeMeta } from './meta.ts';

interface Entry<T extends object> {
  readonly cls: Class<T, []>;
  /** The module's address, with what a watcher appends to it. */
  readonly from: string | undefined;
}

/** The classes that extend one abstract base, by key, in the order of their registration. */
export class Registry<T extends object> {
  readonly #base: AbstractClass<T>;
  readonly #entries = new Map<string, Entry<T>>();

  /** `base` is what all of them extend. It has no place in the registry itself. */
  constructor(base: AbstractClass<T>) {
    this.#base = base;
  }

  /**
   * A class decorator; also for a static block: `static { plugins.register('card')(this) }`, which sees only the static
   * fields above it. The same class again is no news.
   *
   * `from` is the module, `import.meta.url`: when it is evaluated again, as a watcher does with `card.ts?t=2`, the new
   * class takes the place of the old. Instances of the old one live on. A class of another name under the very same
   * address is no new evaluation, but a second owner. Default: a key is taken once.
   *
   * @throws InvalidArgumentError on an empty key and on what is no class; NotRegistrableError on the base itself or a
   *   class that doesn't extend it; DuplicateKeyError on a key that another class has.
   */
  register(key: string, from?: string): Decorate<Class<T, []>> {
    if (key === '') throw new InvalidArgumentError('The key is empty.');
    return (cls, context) => whenComplete(cls, context, (complete) => this.add(key, complete, from));
  }

  /** @throws UnknownKeyError, which lists the keys that there are. */
  get(key: string): Class<T, []> {
    const entry = this.#entries.get(key);
    if (!entry) throw new UnknownKeyError(key, this.list());
    return entry.cls;
  }

  /** The keys, in the order of registration. */
  list(): string[] {
    return [...this.#entries.keys()];
  }

  *[Symbol.iterator](): IterableIterator<[string, Class<T, []>]> {
    for (const [key, { cls }] of this.#entries) yield [key, cls];
  }

  /** Whether the class extends the base. Prototypes are compared: a Proxy of a class shares its prototype. */
  accepts(cls: Class): cls is Class<T, []> {
    return Object.prototype.isPrototypeOf.call(this.#base.prototype, cls.prototype);
  }

  // The steps of a registration, each a method of its own, so that a variant (see pitfalls/) changes just one.

  protected add(key: string, cls: Class<T, []>, from: string | undefined): void {
    this.assertRegistrable(cls);
    const entry = this.#entries.get(key);
    if (entry && this.isTaken(entry, cls, from)) throw new DuplicateKeyError(key, entry.cls.name, cls.name);
    this.#entries.set(key, { cls, from });
  }

  protected assertRegistrable(cls: Class): void {
    const base = this.#base;
    if (cls.prototype === base.prototype) {
      throw new NotRegistrableError(
        `${base.name} is the base of its registry and can't be used itself: register a subclass.`,
      );
    }
    if (!this.accepts(cls)) {
      throw new NotRegistrableError(`${cls.name} doesn't extend ${base.name}: extend it, or use another registry.`);
    }
  }

  protected moduleOf(from: string | undefined): string | undefined {
    return from?.replace(/[?#].*$/s, '');
  }

  protected isTaken(by: Entry<T>, cls: Class, from: string | undefined): boolean {
    if (by.cls === cls) return false;
    if (from === undefined || this.moduleOf(by.from) !== this.moduleOf(from)) return true;
    // Not every tool gives a module that it evaluates again another address.
    return by.from === from && by.cls.name !== cls.name;
  }
}

/**
 * The subclass hook that JavaScript lacks: each class that is made under this meta registers itself, and so does each
 * class made from it by `defineClass`. Keywords: `key` (default: the name of the class), `from` as in `register`, and
 * `abstract: true` for a class that is only there to be extended.
 *
 * @throws from `defineClass` what `register` throws.
 */
export function registering<T extends object>(registry: Registry<T>): Meta {
  return derive(typeMeta, () => ({
    init(cls, name, _bases, _ns, { key = name, from, abstract = false }) {
      if (abstract === true) return;
      if (typeof key !== 'string') throw new InvalidArgumentError(`The key of ${name} is no text: ${shown(key)}.`);
      if (!registry.accepts(cls)) throw new NotRegistrableError(`${name} doesn't extend the base of its registry.`);
      registry.register(key, typeof from === 'string' ? from : undefined)(cls);
    },
  }));
}
