import { property } from './attributes.ts';
import { NotPyObjectError } from './errors.ts';
import { assigned, type ClassRecord, classes, type Holder, instances } from './lookup.ts';
import { isDescriptor } from './protocol.ts';

/** What is known of an instance or of a class. @throws NotPyObjectError for any other object. */
export function recordOf(o: object): Holder {
  const record = instances.get(o) ?? adopt(o);
  if (record) return record;
  throw new NotPyObjectError(`${Object.prototype.toString.call(o)} is no instance of a pyClass, nor such a class.`);
}

/** The record of a class; a JavaScript class that extends one of ours gets its own, with its prototype as the dictionary. */
export function adopt(ctor: unknown): ClassRecord | undefined {
  if (typeof ctor !== 'function') return undefined;
  const known = classes.get(ctor);
  if (known) return known;
  const maker = makerOf(ctor.prototype);
  if (maker && maker !== ctor) return adopt(maker);
  const base = adopt(Object.getPrototypeOf(ctor));
  const body: unknown = base && ctor.prototype;
  if (!base || typeof body !== 'object' || body === null) return undefined;
  const dict = new PrototypeDictionary(body);
  const record = { self: ctor, name: ctor.name, raw: ctor, dict, meta: base.meta, mro: base.mro };
  record.mro = [record, ...base.mro];
  classes.set(ctor, record);
  return record;
}

/** The class that has this prototype. A Proxy around a class has the same, and is no other class. */
export function makerOf(prototype: unknown): object | undefined {
  if (typeof prototype !== 'object' || prototype === null) return undefined;
  const maker: unknown = Reflect.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  return typeof maker === 'function' && maker.prototype === prototype ? maker : undefined;
}

/** What a class body says; its accessors are properties. */
export function dictionaryOf(body: object): Map<PropertyKey, unknown> {
  const own = Reflect.ownKeys(body).map((key) => [key, Reflect.getOwnPropertyDescriptor(body, key) ?? {}] as const);
  return new Map(own.map(([key, said]) => [key, attributeOf(said)]));
}

function attributeOf({ get, set, value }: PropertyDescriptor): unknown {
  if (!get && !set) return value;
  return property((o) => get?.call(o), set && ((o, next) => set.call(o, next)));
}

/** A prototype as it is now, whoever has changed it since. What `super` could not read there is kept beside it. */
class PrototypeDictionary extends Map<PropertyKey, unknown> {
  readonly #prototype: object;
  /** One property for each accessor. */
  readonly #made = new Map<PropertyKey, { readonly said: PropertyDescriptor; readonly attribute: unknown }>();

  constructor(prototype: object) {
    super();
    this.#prototype = prototype;
  }

  override has(key: PropertyKey): boolean {
    return super.has(key) || this.#said(key) !== undefined;
  }

  override get(key: PropertyKey): unknown {
    const said = super.has(key) ? undefined : this.#said(key);
    if (!said) return super.get(key);
    if (!said.get && !said.set) return said.value;
    const made = this.#made.get(key);
    if (made && made.said.get === said.get && made.said.set === said.set) return made.attribute;
    const attribute = attributeOf(said);
    if (isDescriptor(attribute)) attribute.setName?.(this.#prototype.constructor, String(key));
    this.#made.set(key, { said, attribute });
    return attribute;
  }

  override set(key: PropertyKey, value: unknown): this {
    const isPlain = key !== 'constructor' && !isDescriptor(value);
    if (isPlain && Reflect.defineProperty(this.#prototype, key, { ...assigned(value), enumerable: false })) {
      super.delete(key);
      return this;
    }
    return super.set(key, value);
  }

  override delete(key: PropertyKey): boolean {
    const isOwn = this.#said(key) !== undefined && Reflect.deleteProperty(this.#prototype, key);
    return super.delete(key) || isOwn;
  }

  #said(key: PropertyKey): PropertyDescriptor | undefined {
    return key === 'constructor' ? undefined : Reflect.getOwnPropertyDescriptor(this.#prototype, key);
  }
}
