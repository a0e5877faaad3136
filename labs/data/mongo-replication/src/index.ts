export { causalToken, resumeCausal } from './causal.ts';
export {
  CausalTokenError,
  KeyTakenError,
  ReplicationError,
  ShardKeyError,
  WriteFailedError,
} from './errors.ts';
export { type Account, account, type Entry, type FailoverOptions, longestGap, measureFailover } from './failover.ts';
export { type KeyReport, keyReport, mayBeUnique } from './key-report.ts';
export { chunkFor, evenLayout, layoutOf, placement, readLayout } from './layout.ts';
export { type Attempt, insertOnce, type Keyed, type OnceOptions, repeatUntilKnown } from './once.ts';
export { mayChange, type WriteOutcome, writeOutcome } from './outcome.ts';
export {
  type Chunk,
  compareKeys,
  hashedValue,
  type KeyValue,
  keyOf,
  type Layout,
  MAX,
  MIN,
  type ShardKey,
} from './shard-key.ts';
export { shardsFor, type Targeting } from './targeting.ts';
export { transactOnce } from './transact-once.ts';
export { NoAnswerError } from './waits.ts';
