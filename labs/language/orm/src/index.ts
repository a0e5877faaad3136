export { Compiler } from './compiler.ts';
export {
  Database,
  type DatabaseOptions,
  type Result,
  type Statement,
  type TransactionOptions,
} from './database.ts';
export * from './errors.ts';
export { F, Q } from './expression.ts';
export { Field, type FieldOptions } from './field.ts';
export { Column, Entity, ModelMeta } from './meta.ts';
export { type EntityClass, Model } from './model.ts';
export { QuerySet } from './query-set.ts';
export { ForeignKey, type ForeignKeyOptions, type OnDelete, Ref, Reverse } from './relation.ts';
export { createTableSql, createTables } from './schema.ts';
export type { Changes, Values, Where } from './types.ts';
