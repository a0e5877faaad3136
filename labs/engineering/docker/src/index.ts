export { BadPatternError, dockerignore } from './dockerignore.ts';
export { type DrainOptions, InvalidDrainOptionError } from './drain-options.ts';
export {
  type Confidence,
  type Finding,
  fingerprints,
  inOrder,
  type Judged,
  type Position,
  type Rule,
  type Severity,
  type Span,
  type Suppression,
  suppress,
  suppressionRules,
  toSarif,
} from './finding.ts';
export { type Health, healthcheck } from './health.ts';
export { type LintOptions, lintDockerfile, UnreadableDockerfileError } from './lint.ts';
export { rules } from './rules/index.ts';
export type { DockerRule, Hit } from './rules/rule.ts';
export { Drain, type Drained } from './shutdown.ts';
export type { Context, Parsed, Stage } from './stages.ts';
