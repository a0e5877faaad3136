import './metadata.ts';
import { MisuseError } from '../core/errors.ts';
import { type AnyMethod, type Behaviour, wrap } from '../core/method.ts';

/** A decorator of methods that fit `Bound`; what the method is, it stays. Those of others may return `Nothing`. */
export type MethodDecoratorOf<Bound extends AnyMethod = AnyMethod, Nothing = never> = <M extends Bound>(
  method: M,
  context: ClassMethodDecoratorContext,
) => M | Nothing;

/** Of methods and getters. */
export type ReaderDecorator = <M extends AnyMethod>(
  method: M,
  context: ClassMethodDecoratorContext | ClassGetterDecoratorContext,
) => M;

/** Of methods, getters, setters and `accessor`s; static and private ones too. */
export interface MemberDecorator {
  <M extends AnyMethod>(
    method: M,
    context: ClassMethodDecoratorContext | ClassGetterDecoratorContext | ClassSetterDecoratorContext,
  ): M;
  <This, Value>(
    accessor: ClassAccessorDecoratorTarget<This, Value>,
    context: ClassAccessorDecoratorContext<This, Value>,
  ): ClassAccessorDecoratorResult<This, Value>;
}

type Kind = DecoratorContext['kind'];

/** @throws MisuseError where the decorator stands on anything but these kinds, or was compiled as a legacy one. */
export function checkKind(decorator: string, context: DecoratorContext, kinds: readonly Kind[]): void {
  if (typeof context !== 'object') {
    throw new MisuseError(
      `@${decorator} is of the standard dialect, and this class was compiled with experimentalDecorators: import it from legacy/`,
    );
  }
  if (kinds.includes(context.kind)) return;
  throw new MisuseError(
    `@${decorator} stands on the ${context.kind} ${String(context.name)}; it belongs on a ${kinds.join(', ')}`,
  );
}

/** The behaviour as a decorator of methods. */
export function onMethod<Bound extends AnyMethod = AnyMethod>(
  decorator: string,
  behaviour: Behaviour,
): MethodDecoratorOf<Bound> {
  return (method, context) => {
    checkKind(decorator, context, ['method']);
    return wrap(method, String(context.name), behaviour);
  };
}

export function onReader(decorator: string, behaviour: Behaviour): ReaderDecorator {
  return (method, context) => {
    checkKind(decorator, context, ['method', 'getter']);
    return wrap(method, String(context.name), behaviour);
  };
}

/** @param define Called once for each member that it stands on. */
export function onMember(
  decorator: string,
  behaviour: Behaviour,
  define?: (context: DecoratorContext) => void,
): MemberDecorator {
  function decorate<M extends AnyMethod>(method: M, context: DecoratorContext): M;
  function decorate<This, Value>(
    accessor: ClassAccessorDecoratorTarget<This, Value>,
    context: DecoratorContext,
  ): ClassAccessorDecoratorResult<This, Value>;
  function decorate(
    target: AnyMethod | ClassAccessorDecoratorTarget<unknown, unknown>,
    context: DecoratorContext,
  ): AnyMethod | ClassAccessorDecoratorResult<unknown, unknown> {
    checkKind(decorator, context, ['method', 'getter', 'setter', 'accessor']);
    define?.(context);
    const name = String(context.name);
    if (typeof target === 'function') return wrap(target, name, behaviour);
    return { get: wrap(target.get, name, behaviour), set: wrap(target.set, name, behaviour) };
  }
  return decorate;
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
  ...decorators: { readonly [Index in keyof Bounds]: MethodDecoratorOf<AnyMethod & Bounds[Index], void> }
): MethodDecoratorOf<AnyMethod & Intersection<Bounds>> {
  return (method, context) =>
    // Others that only take a note return nothing.
    decorators.reduceRight((decorated, decorator) => decorator(decorated, context) ?? decorated, method);
}
