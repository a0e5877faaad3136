// Flaw: a refusal is an AttributeError, so the __getattr__ hook, hasattr and every default take it for a missing attribute.
// Seen in: https://github.com/encode/django-rest-framework/issues/2108
// Caught by: a refusal is not answered by the hook, and is not a missing attribute
import { type Attribute, AttributeError, descriptor, type Policy, guarded as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function guarded<T, O extends object = object>(policy: Policy, inner?: Attribute<T, O>): Attribute<T, O> {
  const guard = reference(policy, inner);
  const { get } = guard;
  return descriptor<T, O>({
    ...guard,
    get(o, owner) {
      try {
        return get?.(o, owner) ?? guard;
      } catch (error) {
        throw new AttributeError(String(error));
      }
    },
  });
}
