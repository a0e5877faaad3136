import { asksFor, guarding } from '../core/guard.ts';
import { type Callable, isCallable, wrap } from '../core/method.ts';
import { chain, Notes } from '../core/notes.ts';
import { type MemberDecorator, onMember } from './decorate.ts';
import { metadataOf } from './metadata.ts';

const requirements = new Notes<readonly string[]>();

/**
 * Lets only those call who have all the permissions; without any permission, all who are signed in (see `runAs`).
 *
 * A subclass that overrides the method and says nothing is guarded too, as the nearest class says that does, from when
 * its first instance is made. Not so an override that is a field or static, or that a decorator of its own binds as it
 * was given: such a one is guarded where the router calls it, and nowhere else; nor that of a getter, setter or accessor.
 *
 * @throws UnauthenticatedError, ForbiddenError from the call; MisuseError where it guards nothing.
 */
export function requires(...permissions: readonly string[]): MemberDecorator {
  return onMember('requires', guarding(permissions), (context) => {
    if (context.kind !== 'method' || context.static) return;
    const { name, metadata } = context;
    requirements.add(metadata, name, permissions);
    context.addInitializer(function () {
      guardOverride(this, name, metadata);
    });
  });
}

/** Puts the guard in front of a method that the class `metadata` belongs to, or an ancestor, says to be guarded. */
export function guarded(method: Callable, name: string | symbol, metadata: object): Callable {
  const needed = requirements.all(metadata).get(name)?.flat();
  return needed === undefined || asksFor(method, needed) ? method : wrap(method, String(name), guarding(needed));
}

/**
 * Guards the most derived `name` of an instance, where a subclass has put one in front of the decorated; and its own,
 * which a decorator further in may have bound before.
 */
function guardOverride(instance: unknown, name: string | symbol, metadata: object): void {
  for (const at of chain(instance)) {
    const isType = at !== instance && Object.hasOwn(at.constructor, Symbol.metadata);
    const owner = isType ? metadataOf(at.constructor) : undefined;
    // Before what it has of its own: where a class decorator put a class in its place, the method is one further up.
    if (owner !== undefined && requirements.own(owner, name).length > 0) return;
    const descriptor = Object.getOwnPropertyDescriptor(at, name);
    if (!descriptor || !isCallable(descriptor.value)) continue;
    // Not `metadata`: a class in between may require something else, and its own initializer comes after this one.
    const nearest = metadataOf(at.constructor) ?? metadata;
    Object.defineProperty(at, name, { ...descriptor, value: guarded(descriptor.value, name, nearest) });
  }
}
