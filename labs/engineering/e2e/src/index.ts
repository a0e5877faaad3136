export { type AuditOptions, audit, type Exception } from './axe.ts';
export { TestDatabase, type TestDatabaseOptions } from './database.ts';
export {
  AccessibilityError,
  DatabaseBusyError,
  DatabaseError,
  E2eError,
  InvalidArgumentError,
  type Noise,
  NoisyPageError,
  ReportError,
  SignInError,
  UnusedFaultError,
  type Violation,
} from './errors.ts';
export {
  type App,
  evidence,
  extend,
  type Parts,
  type Setup,
  type TestFixtures,
  type WorkerFixtures,
} from './fixtures.ts';
export { type Rate, rate, readReport, type Told, type Verdict, verdictOf } from './flakes.ts';
export { Guard, type GuardOptions } from './guard.ts';
export {
  type Entanglement,
  entanglements,
  type IsolationOptions,
  inRandomOrder,
  type RunInOrder,
} from './isolation.ts';
export { type Fault, type FaultOptions, type Match, Network } from './network.ts';
export { SignIns, type SignInsOptions, type State } from './session.ts';
