/** Everything this package throws of its own. Tell them apart by class, or by `name` across threads. */
export abstract class ProfilingError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** An argument that cannot be meant. */
export class InvalidArgumentError extends ProfilingError {}

/** What was given as a profile is none, or contradicts itself. */
export class InvalidProfileError extends ProfilingError {}

/** There is no process with this id, or it ended while it was asked. */
export class NoSuchProcessError extends ProfilingError {}

/** The process is not Node.js: the signal would kill it, or mean something else to it. None was sent. */
export class NotNodeError extends ProfilingError {}

/** The process would not take SIGUSR1 as a request for its inspector (`--disable-sigusr1`). None was sent. */
export class SignalDisabledError extends ProfilingError {}

/** The process belongs to another user. */
export class PermissionDeniedError extends ProfilingError {}

/** The process cannot be reached from here: another network namespace (a container), or a system without /proc. */
export class UnreachableError extends ProfilingError {}

/** The port at which its inspector would open belongs to another process. `holder` is its id, where it may be seen. */
export class PortTakenError extends ProfilingError {
  readonly port: number;
  readonly holder: number | undefined;
  constructor(pid: number, port: number, holder: number | undefined) {
    const who = holder === undefined ? 'another process' : `process ${holder}`;
    super(
      `Process ${pid} cannot open its inspector: ${who} has its port ${port}. End that one's inspector, or start yours with --inspect-port=0.`,
    );
    this.port = port;
    this.holder = holder;
  }
}

/** The inspector was open before we came. It is somebody else's, and closing it would end his session. */
export class DebuggerPresentError extends ProfilingError {}

/** The process did not answer in time. */
export class TargetSilentError extends ProfilingError {}

/** The process, or its inspector, ended in the middle. */
export class TargetEndedError extends ProfilingError {}

/** One measurement at a time: two would end each other. */
export class BusyError extends ProfilingError {}

/** The target refused a command of the protocol, or its code threw. */
export class ProtocolError extends ProfilingError {}
