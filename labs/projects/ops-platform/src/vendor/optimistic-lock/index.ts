export { type Db, type IsolationLevel, runTransaction, type TransactionOptions } from './connection.ts';
export * from './errors.ts';
export { etagOf, ifMatch } from './if-match.ts';
export { type Change, modify, modifyLocked, serializable } from './modify.ts';
export { isConflict, type RetryOptions, withRetry } from './retry.ts';
export { type Column, type Expected, type Patch, type VersionedRow, VersionedTable } from './table.ts';
export { deleteVersioned, readVersioned, updateMany, updateVersioned } from './versioned.ts';
