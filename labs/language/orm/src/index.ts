export { Compiler } from './compiler.ts';
export { Database, type DatabaseOptions, type Result, type Statement, type TransactionOptions } from './database.ts';
export {
  ConnectionError,
  ConstraintError,
  DefinitionError,
  DestructiveChangeError,
  DoesNotExistError,
  InvalidQueryError,
  type Issue,
  MultipleObjectsError,
  NotLoadedError,
  OrmError,
  PoolTimeoutError,
  ProtectedError,
  QueryError,
  SerializationError,
  StaleObjectError,
  TransactionError,
  UnknownFieldError,
  ValidationError,
} from './errors.ts';
export { Avg, Count, F, Max, Min, Q, Sum } from './expression.ts';
export { Field, type FieldOptions } from './field.ts';
export { Column, Entity, type EntityOptions, ModelMeta, type OnDelete } from './meta.ts';
export { type EntityClass, Model, type SaveOptions } from './model.ts';
export { type BulkOptions, QuerySet } from './query-set.ts';
export { ForeignKey, type ForeignKeyOptions, Many, Ref, Reverse } from './relation.ts';
export type { RepeatedLoad } from './repeated-load.ts';
export { apply, type Change, createTableSql, diff } from './schema.ts';
export type { Changes, Values, Where } from './types.ts';
