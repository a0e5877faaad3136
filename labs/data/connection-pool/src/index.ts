export * from './errors.ts';
export type { Holder, Lease } from './lease.ts';
export type { PoolOptions } from './options.ts';
export { type AcquireOptions, ConnectionPool } from './pool.ts';
export { type Lsn, SplitPool } from './split.ts';
export { type Ask, type Transfer, Transfers } from './transfer.ts';
