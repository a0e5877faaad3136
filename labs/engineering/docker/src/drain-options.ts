import { constants } from 'node:os';
import { inspect } from 'node:util';

/** An option that no stop can be made from. */
export class InvalidDrainOptionError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

export interface DrainOptions {
  /** What begins it. Default SIGTERM (`docker stop`, Kubernetes, systemd) and SIGINT (Ctrl-C). */
  readonly signals?: readonly NodeJS.Signals[];
  /**
   * Milliseconds for which requests are still accepted while `ready` is false: as long as a balancer needs to see it.
   * Default 0. With a balancer in front: its interval times its threshold. It is also the time in which kept connections
   * hear that they close: with 0, one that is hung up on just as its client asks again loses that request.
   */
  readonly lameDuckMs?: number;
  /**
   * Milliseconds from the signal until what is left is cut off. Default 8000: `docker stop` kills after 10 s, and your
   * pools want to be closed too.
   */
  readonly graceMs?: number;
}

/** No process hears these. */
const UNHEARD = new Set(['SIGKILL', 'SIGSTOP']);
const LONGEST_MS = 2 ** 31 - 1;

/** @throws InvalidDrainOptionError */
export function checked({ signals = ['SIGTERM', 'SIGINT'], lameDuckMs = 0, graceMs = 8_000 }: DrainOptions) {
  // A text is a list of letters, and a signal that is none never comes.
  const listed = Array.isArray(signals) && signals.every((each) => each in constants.signals && !UNHEARD.has(each));
  if (!listed) throw new InvalidDrainOptionError(`signals is ${JSON.stringify(signals)}. Give a list, ["SIGTERM"].`);
  for (const [name, ms] of Object.entries({ lameDuckMs, graceMs })) {
    if (!Number.isInteger(ms) || ms < 0 || ms > LONGEST_MS) {
      throw new InvalidDrainOptionError(`${name} is ${inspect(ms)}. Give whole milliseconds from 0 to ${LONGEST_MS}.`);
    }
  }
  if (lameDuckMs >= graceMs) {
    throw new InvalidDrainOptionError(
      `lameDuckMs (${lameDuckMs}) leaves nothing of graceMs (${graceMs}) for what is in flight. Make it shorter.`,
    );
  }
  return { signals, lameDuckMs, graceMs };
}
