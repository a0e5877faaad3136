export { Compiler } from './compiler.ts';
export { Database, type DatabaseOptions, type Result, type Statement, type TransactionOptions } from './database.ts';
export {
  ConnectionError,
  ConstraintError,
  DefinitionError,
  DoesNotExistError,
  InvalidQueryError,
  type Issue,
  MultipleObjectsError,
  NotLoadedError,
  OrmError,
  PoolTimeoutError,
  QueryError,
  SerializationError,
  StaleObjectError,
  TransactionError,
  UnknownFieldError,
  ValidationError,
} from './errors.ts';
export { F, Q } from './expression.ts';
export { Field, type FieldOptions } from './field.ts';
export { Column, Entity, ModelMeta, type OnDelete } from './meta.ts';
export { type EntityClass, Model } from './model.ts';
export { QuerySet } from './query-set.ts';
export { ForeignKey, type ForeignKeyOptions, Many, Ref, Reverse } from './relation.ts';
export { createTableSql, createTables } from './schema.ts';
export type { RepeatedLoad } from './stored.ts';
export type { Changes, Values, Where } from './types.ts';
