/** Every error that this library throws by itself. What goes wrong during a run is counted, and stands in the report. */
export abstract class LoadTestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** A plan that no run can be made from; nothing was sent. */
export class InvalidPlanError extends LoadTestError {}

/** The target is not this machine, and the plan doesn't name it in `allowHosts`; nothing was sent. */
export class RemoteTargetError extends LoadTestError {
  readonly host: string;

  constructor(host: string) {
    super(
      `${host} is not this machine. A load test of a machine that is not yours is an attack: ` +
        `name it in allowHosts once its owner has agreed.`,
    );
    this.host = host;
  }
}

/** What a check of `request` throws, or a task, when an answer is not what it should be. Counted as `assertion`. */
export class AssertionFailed extends LoadTestError {}
