export { type Channel, type ChannelOptions, openChannel } from './channel.ts';
export { type Caller, type Propagated, type PropagateOptions, propagate, withDeadline } from './deadline.ts';
export { BadRpcOptionError } from './errors.ts';
export { amend, type BreakingChange, breakingChanges } from './evolution.ts';
export { Health } from './health.ts';
export { RetryBudget, type RetryClock, type RetryOptions, RetryPolicy } from './retry.ts';
export { type DrainOptions, RpcServer, type ServeOptions } from './server.ts';
export { StreamBuffer } from './stream-buffer.ts';
