import { UnguardedOverrideError } from '../core/errors.ts';
import { asksFor, guarding } from '../core/guard.ts';
import { type Callable, wrap } from '../core/method.ts';
import { chain, Notes } from '../core/notes.ts';
import { type MemberDecorator, onMember } from './decorate.ts';

const requirements = new Notes<readonly string[]>();

/**
 * Lets only those call who have all the permissions; without any permission, all who are signed in (see `runAs`).
 *
 * The dialect sees no instance being made, so it can't guard the override of a subclass: `buildRouter` refuses one that
 * doesn't say what it requires, but for a field, which can't: the router guards it. Direct calls of either are not
 * guarded.
 *
 * @throws UnauthenticatedError, ForbiddenError from the call; MisuseError where it guards nothing.
 */
export function requires(...permissions: readonly string[]): MemberDecorator {
  return onMember('requires', guarding(permissions), (target, name, isMethod) => {
    if (isMethod) requirements.add(target, name, permissions);
  });
}

/**
 * The method, guarded as its class says.
 *
 * @throws UnguardedOverrideError where it is the override of a guarded method, and says nothing.
 */
export function guarded(method: Callable, name: string | symbol, controller: object): Callable {
  const home = chain(controller).find((at) => requirements.own(at, name).length > 0);
  if (home === undefined) return method;
  // What the instance has of its own, bound by its constructor or a field, can say nothing: it is guarded here.
  const nearest = chain(controller)
    .drop(1)
    .find((at) => Object.hasOwn(at, name));
  if (nearest !== home) {
    const member = String(name);
    throw new UnguardedOverrideError(
      `${controller.constructor.name}.${member} overrides ${home.constructor.name}.${member}, which is guarded: write @requires on it too`,
    );
  }
  const needed = requirements.own(home, name).flat();
  return asksFor(method, needed) ? method : wrap(method, String(name), guarding(needed));
}
