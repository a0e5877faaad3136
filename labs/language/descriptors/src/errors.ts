/** Every error of this library; the errors of your own getters, guards and policies pass through untouched. */
export abstract class DescriptorsError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The attribute is missing, not set, read-only or not deletable: what Python calls AttributeError. */
export class AttributeError extends DescriptorsError {}

/** A value that the attribute refuses. The former value is still there. */
export class ValidationError extends DescriptorsError {
  readonly attribute: string;
  readonly value: unknown;

  constructor(attribute: string, value: unknown, wanted: string) {
    super(`${attribute} must be ${wanted}; it got ${shown(value)}.`);
    this.attribute = attribute;
    this.value = value;
  }
}

/** The policy said no. Not an AttributeError, or a `__getattr__` hook and `hasattr` would take a refusal for a gap. */
export class PermissionDeniedError extends DescriptorsError {
  readonly attribute: string;
  readonly action: 'read' | 'write' | 'delete';

  constructor(attribute: string, action: 'read' | 'write' | 'delete') {
    super(`${attribute}: the policy does not let you ${action} it. Ask as somebody who may.`);
    this.attribute = attribute;
    this.action = action;
  }
}

/** The class cannot be made: no consistent order of its bases, a base or a metaclass that is none, a conflict of metaclasses. */
export class ClassDefinitionError extends DescriptorsError {}

/** An argument that no attribute can be made from. */
export class InvalidArgumentError extends DescriptorsError {}

/** A descriptor that needs its name has none, or has been given a second one. */
export class DescriptorNameError extends DescriptorsError {}

/** Neither an instance of a `pyClass` nor a class made by it. */
export class NotPyObjectError extends DescriptorsError {}

/** For messages, where a refused `10` may not look like an allowed `'10'` or `10n`. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  return typeof value === 'object' && value !== null ? Object.prototype.toString.call(value) : String(value);
}
