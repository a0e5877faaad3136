export { type Action, hashToken, may, newToken, Role } from './access.ts';
export { Agent, type AgentOptions, ControllerUnavailableError } from './agent.ts';
export { type Anchor, type AuditEntry, AuditLog, canonical, digestOf, GENESIS, type Verdict } from './audit.ts';
export { Controller, type ControllerOptions } from './controller.ts';
export {
  CycleError,
  ForbiddenError,
  InvalidArgumentError,
  NotFoundError,
  OpsError,
  StaleFenceError,
  StepFailedError,
  StoreUnavailableError,
  UnknownTokenError,
} from './errors.ts';
export { type OpsApiOptions, opsApi } from './http.ts';
export { type Execute, type Job, Machine, type MachineOptions, type StepReport, skipped } from './machine.ts';
export {
  type Alert,
  type Due,
  type Host,
  type JobView,
  Ops,
  type Rule,
  type RunView,
  type Schedule,
  type Start,
} from './ops.ts';
export { Bounded, Mask } from './output.ts';
export { type BatchedJob, batchesOf, type Decision, decide, type JobState, stateOf } from './rollout.ts';
export { type CommandSpec, type FileSpec, fill, parseRunbook, type Runbook, type Step, type Vars } from './runbook.ts';
export { SCHEMA } from './schema.ts';
