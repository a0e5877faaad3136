export type { AbstractClass, Class, Decorate, MadeClass } from './class.ts';
export {
  DuplicateKeyError,
  DuplicateMemberError,
  type Fault,
  FinalClassError,
  InterfaceError,
  InvalidArgumentError,
  InvalidStepError,
  MetaConflictError,
  MetaclassError,
  NotRegistrableError,
  PrefixCollisionError,
  ReentrantSingletonError,
  UnknownKeyError,
} from './errors.ts';
export { final } from './final.ts';
export { faultsOf, type InterfaceSpec, implementing, type MethodSpec } from './interface.ts';
export {
  defineClass,
  definitionOrder,
  derive,
  type Keywords,
  type Meta,
  metaOf,
  type Namespace,
  typeMeta,
  UniqueNamespace,
} from './meta.ts';
export { prefixed, prefixMeta } from './prefix.ts';
export { Registry, registering } from './registry.ts';
export { singleton } from './singleton.ts';
