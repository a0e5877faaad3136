export { type BatchUpdateOptions, type BatchUpdateResult, batchUpdate, type Progress } from './batch-update.ts';
export * from './errors.ts';
export { type BackfillPlan, defineMigration, type IndexPlan, type Migration, type Step } from './migration.ts';
export * from './migrator.ts';
export type { LockOptions } from './session.ts';
