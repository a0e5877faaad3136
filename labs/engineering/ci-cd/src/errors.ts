/** Every error of this package; `instanceof CiError` tells it from the errors of what it is given. */
export abstract class CiError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Whether it is ours, or what the system refuses: a full disk, a folder that a step has removed. */
export const isForeseen = (error: unknown): error is Error =>
  error instanceof CiError || (error instanceof Error && 'syscall' in error);

/** An argument that nothing can be run from. */
export class InvalidArgumentError extends CiError {}

/** The workflow file is not one. `line` counts from 1. */
export class WorkflowError extends CiError {
  readonly line: number | undefined;

  constructor(message: string, line?: number) {
    super(line === undefined ? message : `line ${line}: ${message}`);
    this.line = line;
  }
}

/** Jobs that wait for each other; `cycle` begins and ends with the same job. */
export class CycleError extends WorkflowError {
  readonly cycle: readonly string[];

  constructor(cycle: readonly string[], line?: number) {
    super(`${cycle.join(' needs ')}: none of them can ever start. Remove one of these needs.`, line);
    this.cycle = cycle;
  }
}

/** An expression that can't be read or evaluated. It is never taken for an empty text. */
export class ExpressionError extends CiError {
  readonly expression: string;

  constructor(expression: string, problem: string) {
    const shown = expression.length > 80 ? `${expression.slice(0, 80)}…` : expression;
    super(`\${{ ${shown.trim()} }}: ${problem}`);
    this.expression = expression;
  }
}

/** Git could not give the commit, or the workflow is not in it. */
export class CheckoutError extends CiError {}

/** Another controller has changed the rollout's state meanwhile: one of the two has to go. */
export class StateConflictError extends CiError {}

/** The canary must go, and the traffic could not be taken from it. The state says so: run the same release again. */
export class RollbackFailedError extends CiError {}
