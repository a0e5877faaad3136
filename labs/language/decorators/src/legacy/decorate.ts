import { MisuseError } from '../core/errors.ts';
import { type AnyMethod, type Behaviour, wrap } from '../core/method.ts';
import { copyMetadata } from './metadata.ts';

/** A decorator of methods that fit `Bound`. */
export type MethodDecoratorOf<Bound extends AnyMethod = AnyMethod> = <M extends Bound>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
  // biome-ignore lint/suspicious/noConfusingVoidType: as TypeScript's own MethodDecorator has it
) => TypedPropertyDescriptor<M> | void;

/** Of methods, getters, setters and `accessor`s; static ones too. The dialect has no private members. */
export type MemberDecorator = <Value>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<Value>,
) => void;

/** @throws MisuseError on a field or class, or where the decorator was compiled as a standard one. */
export function checkPlace(decorator: string, name: unknown, descriptor: unknown): void {
  if (typeof name === 'object' && name !== null) {
    throw new MisuseError(
      `@${decorator} is of the legacy dialect, and this class was compiled without experimentalDecorators: import it from standard/`,
    );
  }
  if (typeof descriptor === 'object') return;
  throw new MisuseError(
    `@${decorator} stands on ${name === undefined ? 'a class' : `the field ${String(name)}`}; it belongs on a method`,
  );
}

/** @throws MisuseError as `checkPlace`, and above a decorator that made a getter of a method: only reading it would be decorated. */
function checkMember(decorator: string, target: object, name: string | symbol, descriptor: PropertyDescriptor): void {
  checkPlace(decorator, name, descriptor);
  if (isMethod(descriptor.value) || !isMethod(Object.getOwnPropertyDescriptor(target, name)?.value)) return;
  throw new MisuseError(
    `@${decorator} stands above a decorator that made a getter of the method ${String(name)}: write it below that one`,
  );
}

export function onMethod<Bound extends AnyMethod = AnyMethod>(
  decorator: string,
  behaviour: Behaviour,
): MethodDecoratorOf<Bound> {
  return (target, name, descriptor) => {
    checkMember(decorator, target, name, descriptor);
    if (!descriptor.value)
      throw new MisuseError(`@${decorator} stands on the accessor ${String(name)}; it belongs on a method`);
    descriptor.value = wrapped(descriptor.value, name, behaviour);
  };
}

/** @param define Called once for each member that it stands on. */
export function onMember(
  decorator: string,
  behaviour: Behaviour,
  define?: (target: object, name: string | symbol, isMethod: boolean) => void,
): MemberDecorator {
  return (target, name, descriptor) => {
    checkMember(decorator, target, name, descriptor);
    define?.(target, name, descriptor.value !== undefined);
    if (isMethod(descriptor.value)) descriptor.value = wrapped(descriptor.value, name, behaviour);
    if (descriptor.get) descriptor.get = wrapped(descriptor.get, name, behaviour);
    if (descriptor.set) descriptor.set = wrapped(descriptor.set, name, behaviour);
  };
}

/** Methods and getters: a setter has nothing to read. */
export function onReader(decorator: string, behaviour: Behaviour): MemberDecorator {
  return (target, name, descriptor) => {
    checkMember(decorator, target, name, descriptor);
    if (!isMethod(descriptor.value) && !descriptor.get) {
      throw new MisuseError(`@${decorator} stands on the setter ${String(name)}; it belongs on a method or getter`);
    }
    if (isMethod(descriptor.value)) descriptor.value = wrapped(descriptor.value, name, behaviour);
    if (descriptor.get) descriptor.get = wrapped(descriptor.get, name, behaviour);
  };
}

function isMethod<Value>(value: Value): value is Value & AnyMethod {
  return typeof value === 'function';
}

function wrapped<M extends AnyMethod>(method: M, name: string | symbol, behaviour: Behaviour): M {
  const wrapper = wrap(method, String(name), behaviour);
  copyMetadata(method, wrapper);
  return wrapper;
}

/** Not of the union of the bounds: of a decorator that takes any method the compiler infers unknown, which swallows all. */
type Intersection<Bounds extends readonly unknown[]> = {
  [Index in keyof Bounds]: (each: Bounds[Index]) => void;
}[number] extends (all: infer All) => void
  ? All
  : never;

/**
 * Several decorators as one, written from the top: `compose(route('GET', '/'), requires('rider'))`. The last is applied
 * first. It takes the methods that all of them take.
 */
export function compose<Bounds extends readonly unknown[]>(
  ...decorators: { readonly [Index in keyof Bounds]: MethodDecoratorOf<AnyMethod & Bounds[Index]> }
): MethodDecoratorOf<AnyMethod & Intersection<Bounds>> {
  return (target, name, descriptor) =>
    // Others may return a descriptor in place of the one they got.
    decorators.reduceRight((decorated, decorator) => decorator(target, name, decorated) ?? decorated, descriptor);
}
