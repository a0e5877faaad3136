export { type CanaryOptions, canary, type Rollout } from './canary.ts';
export {
  CheckoutError,
  CiError,
  CycleError,
  ExpressionError,
  InvalidArgumentError,
  RollbackFailedError,
  StateConflictError,
  WorkflowError,
} from './errors.ts';
export { compile, type Expression, type Scope } from './expression.ts';
export type { JobReport, StepReport } from './job.ts';
export { checkPolicy, type Finding, lintWorkflow } from './policy.ts';
export { type RunOptions, type RunReport, runWorkflow } from './runner.ts';
export { type Sample, worse } from './statistics.ts';
export { fileStore, type RolloutState, type StateStore } from './store.ts';
export { parseWorkflow } from './workflow.ts';
