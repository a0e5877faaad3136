export {
  delattr,
  explain,
  getattr,
  hasattr,
  isInstance,
  type LookupStep,
  mro,
  setattr,
  vars,
} from './access.ts';
export { attach } from './attach.ts';
export {
  type AuditEntry,
  audited,
  type FieldOptions,
  guarded,
  lazy,
  oneOf,
  type Policy,
  property,
  range,
  readOnly,
  staticMethod,
  typed,
} from './attributes.ts';
export {
  AttributeError,
  ClassDefinitionError,
  DescriptorNameError,
  DescriptorsError,
  InvalidArgumentError,
  NotPyObjectError,
  PermissionDeniedError,
  ValidationError,
} from './errors.ts';
export type { LookupPlace } from './lookup.ts';
export {
  type Attribute,
  type Descriptor,
  descriptor,
  isDataDescriptor,
  isDescriptor,
  type ValueOf,
} from './protocol.ts';
export {
  type ClassOptions,
  type DefineClass,
  type Instance,
  type Namespace,
  type PyClass,
  pyClass,
} from './py-class.ts';
