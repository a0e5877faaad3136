import { InvalidArgumentError } from './errors.ts';

/** Any class whose instances are a `T` and whose constructor takes `A`; as it stands, any class at all. */
export type Class<T extends object = object, A extends readonly unknown[] = never[]> = new (...args: A) => T;

/** A class that need not be complete: `abstract` in TypeScript, a class like any other when it runs. */
export type AbstractClass<T extends object = object> = abstract new (...args: never[]) => T;

/** A class made at run time: the compiler can't know its members, so each of them is `unknown`. */
export interface MadeClass {
  new (...args: unknown[]): Record<string, unknown>;
  readonly name: string;
  readonly [member: string]: unknown;
}

/**
 * A class decorator of the standard, which is also a plain function: `@it class A {}` or `const A = it(class A {})`.
 * A plain call has no context.
 */
export type Decorate<B extends Class = Class> = <C extends B>(cls: C, context?: ClassDecoratorContext<C>) => C;

/** Whether `new` and `extends` accept it; a bound class has no prototype. Nothing of `value` is run. */
export function isClass(value: unknown): value is MadeClass {
  if (typeof value !== 'function' || Object(value.prototype) !== value.prototype) return false;
  try {
    Reflect.construct(Object, [], value);
    return true;
  } catch {
    return false;
  }
}

/** @throws InvalidArgumentError on what a module exports in place of a class: nothing, an object, an arrow. */
export function assertClass(value: unknown): void {
  if (!isClass(value)) throw new InvalidArgumentError(`A class is needed, and ${shown(value)} is none.`);
}

/** For messages. `String` fails on a module's namespace, which has no prototype, and a template on a symbol. */
export function shown(value: unknown): string {
  return typeof value === 'object' && value !== null ? Object.prototype.toString.call(value) : String(value);
}

/**
 * Runs `inspect` on the class once it is complete.
 *
 * The standard calls a class decorator _before_ the static fields are there, and before the decorators above it have
 * had their turn; the initializers run after both, on the class that everybody will see.
 */
export function whenComplete<C extends Class>(
  cls: C,
  context: ClassDecoratorContext<C> | undefined,
  inspect: (cls: C) => void,
): C {
  assertClass(cls);
  if (context) {
    context.addInitializer(function () {
      inspect(this);
    });
  } else {
    inspect(cls);
  }
  return cls;
}

/** The member as it would be found from `from`, own or inherited, without running a getter; not what every object has. */
export function findMember(from: object, key: PropertyKey): PropertyDescriptor | undefined {
  for (const at of lineOf(from)) {
    const found = Reflect.getOwnPropertyDescriptor(at, key);
    if (found) return found;
  }
  return undefined;
}

/** `from` and what it inherits from, below `Object.prototype` and `Function.prototype`, of whatever realm they are. */
export function* lineOf(from: object): Generator<object> {
  for (let at: object | null = from; at !== null && !isRoot(at); at = Reflect.getPrototypeOf(at)) yield at;
}

function isRoot(at: object): boolean {
  const above = typeof at === 'function' ? Reflect.getPrototypeOf(at) : at;
  return above !== null && Reflect.getPrototypeOf(above) === null && Object.hasOwn(above, 'isPrototypeOf');
}

const insides = new WeakMap<object, Class>();

/** `cls`, and what it wraps: what is noted under the identity of the one holds for the other. */
export function* layersOf(cls: Class): Generator<Class> {
  for (let at: Class | undefined = cls; at; at = insides.get(at)) yield at;
}

/**
 * A Proxy of `cls` that decides what `new` gives. `make` runs the constructor, with the `new.target` of the caller.
 *
 * `onSuper` is asked in place of `onNew` when a subclass's `super()` arrives here, which it does: a subclass has a
 * prototype of its own, while another Proxy around this one shares ours. Default: construct and be quiet.
 */
export function intercept<C extends Class>(
  cls: C,
  onNew: (make: () => object, args: readonly unknown[]) => object,
  onSuper: typeof onNew = (make) => make(),
): C {
  assertClass(cls);
  const proxy = new Proxy(cls, {
    construct(target, args: unknown[], newTarget) {
      const make = (): object => Reflect.construct(target, args, newTarget);
      return newTarget.prototype === target.prototype ? onNew(make, args) : onSuper(make, args);
    },
  });
  // `new instance.constructor()` would otherwise lead behind the Proxy.
  const way = { value: proxy, writable: true, configurable: true };
  if (!Reflect.defineProperty(cls.prototype, 'constructor', way))
    throw new InvalidArgumentError(`${cls.name} is frozen: its instances would lead behind what wraps it.`);
  insides.set(proxy, cls);
  return proxy;
}
