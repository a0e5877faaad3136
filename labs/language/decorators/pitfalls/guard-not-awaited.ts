// Flaw: the answer of an async check is a promise, which is truthy, so everybody is let in.
// Seen in: https://github.com/RomainLanz/adonis-guard/issues/8
// Caught by: the body waits for the answer of the guard
import { currentPrincipal, ForbiddenError, standard as reference, UnauthenticatedError } from '../src/index.ts';
import { onMember } from '../src/standard/decorate.ts';

export * from '../src/index.ts';

const requires: typeof reference.requires = (...permissions) =>
  onMember(
    'requires',
    (method, name) =>
      function (...args) {
        const principal = currentPrincipal();
        if (!principal) throw new UnauthenticatedError(name);
        for (const permission of permissions) {
          if (!principal.can(permission)) throw new ForbiddenError(name, principal.name, permission);
        }
        return Reflect.apply(method, this, args);
      },
  );

export const standard = { ...reference, requires };
