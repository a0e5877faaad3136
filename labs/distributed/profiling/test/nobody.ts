/** Attaches to a process as a user who may not. */
import { attach } from '#lab';

process.seteuid?.(65_534);
await attach(Number(process.argv[2]), { timeoutMs: 200 }).then(
  () => process.send?.('attached'),
  (error: unknown) => process.send?.(error instanceof Error ? error.name : String(error)),
);
process.disconnect();
