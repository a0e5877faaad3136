import { AsyncLocalStorage } from 'node:async_hooks';
import { ForbiddenError, MisuseError, UnauthenticatedError } from './errors.ts';
import { type Behaviour, type Callable, isAsync, isPromise } from './method.ts';

/** Who calls. */
export interface Principal {
  readonly name: string;
  /** May ask elsewhere and answer with a promise; then only methods declared `async` can be guarded, and no generators. */
  can(permission: string): boolean | Promise<boolean>;
}

const current = new AsyncLocalStorage<Principal | undefined>();

/** Calls `fn` in the name of `principal`, whatever it awaits; undefined stands for nobody. Returns what `fn` returns. */
export function runAs<T>(principal: Principal | undefined, fn: () => T): T {
  // An untyped session says null or false of who isn't signed in.
  return current.run(principal || undefined, fn);
}

/** In whose name this code runs; undefined outside of `runAs`. */
export function currentPrincipal(): Principal | undefined {
  return current.getStore();
}

const guards = new WeakMap<object, readonly string[]>();
/** Is the outermost layer of this method a guard that asks for all of these? One further in may be behind a cache. */
export function asksFor(method: object, permissions: readonly string[]): boolean {
  const asked = guards.get(method);
  return asked !== undefined && permissions.every((permission) => asked.includes(permission));
}

/**
 * Lets only those call who have all the permissions; without any permission, all who are signed in. Nothing of the
 * method runs before that is known. An async method rejects, any other throws.
 *
 * @throws UnauthenticatedError without a principal, ForbiddenError without a permission.
 * @throws MisuseError where the principal answers with a promise and the method is not `async`, or is a generator: the
 *   call is refused.
 */
export function guarding(permissions: readonly string[]): Behaviour {
  if (permissions.some((permission) => typeof permission !== 'string' || permission === '')) {
    throw new MisuseError('@requires takes permissions, each a text that is not empty');
  }
  return (method, name) => {
    const guard: Callable = isAsync(method)
      ? async function (...args) {
          await admit(permissions, name);
          return Reflect.apply(method, this, args);
        }
      : function (...args) {
          const answer = admit(permissions, name);
          if (answer !== undefined) {
            answer.catch(() => {});
            throw new MisuseError(
              `${name} can't wait for the principal's answer: only an async method can, and no generator`,
            );
          }
          return Reflect.apply(method, this, args);
        };
    guards.set(guard, permissions);
    return guard;
  };
}

/** Ends well, or with the refusal; a promise as soon as one answer is. */
function admit(permissions: readonly string[], name: string): Promise<void> | undefined {
  const principal = current.getStore();
  if (principal === undefined) throw new UnauthenticatedError(name);
  let waiting: Promise<void> | undefined;
  for (const permission of permissions) {
    const decide = (answer: boolean) => {
      // Not `!answer`: what is no boolean is no permission.
      if (answer !== true) throw new ForbiddenError(name, principal.name, permission);
    };
    if (waiting) {
      waiting = waiting.then(() => principal.can(permission)).then(decide);
      continue;
    }
    const answer = principal.can(permission);
    if (isPromise(answer)) waiting = Promise.resolve(answer).then(decide);
    else decide(answer);
  }
  return waiting;
}
