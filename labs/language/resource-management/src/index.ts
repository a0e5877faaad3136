export { acquireAll } from './acquire-all.ts';
export { type ContextManager, type Ending, type Entered, entered, type Outcome, withContext } from './context.ts';
export { contextManager, type ManagerBody, type ManagerOptions } from './context-manager.ts';
export { closing, nullContext, suppress } from './contextlib.ts';
export {
  CommitUnknownError,
  DisposedError,
  InterruptedError,
  NotDisposableError,
  ReentrantError,
  ResourceError,
  RolledBackError,
  YieldError,
} from './errors.ts';
export { type Exit, ExitStack, type Handled } from './exit-stack.ts';
export { interruptible } from './interruptible.ts';
export { redirect, type WriteTarget } from './redirect.ts';
export { chain } from './suppressed.ts';
export { type Transaction, transaction } from './transaction.ts';
