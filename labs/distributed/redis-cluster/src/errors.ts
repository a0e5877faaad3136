/** Every error of this lab. */
export abstract class ClusterError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that no command can be made from. Nothing was sent. */
export class InvalidArgumentError extends ClusterError {}

/** The keys of one command are in several slots. Nothing was sent: give them one hash tag, or ask slot by slot. */
export class CrossSlotError extends ClusterError {
  readonly slots: readonly number[];

  constructor(command: string, keys: readonly string[], slots: readonly number[]) {
    const where = keys.slice(0, 5).map((key, index) => `${JSON.stringify(key)} in ${slots[index]}`);
    super(
      `${command} has keys of several slots (${where.join(', ')}${keys.length > 5 ? ', …' : ''}). ` +
        'Give them one hash tag (taggedKey), or use mgetAcross and msetAcross.',
    );
    this.slots = slots;
  }
}

/** A node refused the command, as WRONGTYPE does; `cause` is the reply. It was not carried out; a script may be half done. */
export class CommandError extends ClusterError {
  constructor(command: string, address: string, cause: Error) {
    super(`${command} was refused by ${address}: ${cause.message}`, { cause });
  }
}

/** One node sent us to the next, and so on. The command was not carried out; the nodes don't agree on who has the slot. */
export class TooManyRedirectionsError extends ClusterError {
  readonly trail: readonly string[];

  constructor(command: string, slot: number, trail: readonly string[]) {
    super(`${command} for slot ${slot} was sent from node to node: ${trail.join(' → ')}. Is a reshard unfinished?`);
    this.trail = trail;
  }
}

/** Nobody served the slot within `timeoutMs`. The command was not carried out, and may be sent again. */
export class SlotUnavailableError extends ClusterError {
  constructor(command: string, slot: number, timeoutMs: number, cause: unknown) {
    const last = cause instanceof Error ? cause.message : String(cause);
    super(
      `${command}: no node served slot ${slot} within ${timeoutMs} ms; last: ${last}. ` +
        'It was not carried out. Is a primary down without a replica, or a majority of them?',
      { cause },
    );
  }
}

/** The command was sent, and no answer came: it may have been carried out. Sending it again may do it twice. */
export class OutcomeUnknownError extends ClusterError {
  constructor(command: string, address: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(
      `${command} was sent to ${address} and no answer came (${why}): it may have been carried out. ` +
        'Look, or send it again only if twice does no harm.',
      { cause },
    );
  }
}

/** The primary has the write, too few replicas have said so: a failover now may lose it. It is not undone. */
export class UnderReplicatedError extends ClusterError {
  readonly reply: unknown;
  readonly replicas: number;

  /** `cause` is the reply of a node that refused WAIT. */
  constructor(
    command: string,
    reply: unknown,
    wanted: number,
    replicas: number,
    withinMs: number,
    options?: ErrorOptions,
  ) {
    super(
      `${command} is done, and ${replicas} of ${wanted} replicas confirmed it within ${withinMs} ms. ` +
        'It was not undone, and a failover may lose it.',
      options,
    );
    this.reply = reply;
    this.replicas = replicas;
  }
}

/** Some of the keys of `msetAcross` were not written, or nobody knows. `errors` has a reason for each slot that failed. */
export class PartialWriteError extends ClusterError {
  readonly written: readonly string[];
  readonly notWritten: readonly string[];
  readonly unknown: readonly string[];

  constructor(parts: Record<'written' | 'notWritten' | 'unknown', readonly string[]>, errors: readonly unknown[]) {
    super(
      `Of ${parts.written.length + parts.notWritten.length + parts.unknown.length} keys ${parts.written.length} were ` +
        `written, ${parts.notWritten.length} were not, and of ${parts.unknown.length} nobody knows: slots are written one by one.`,
      { cause: new AggregateError(errors, errors.map(String).join('; ')) },
    );
    this.written = parts.written;
    this.notWritten = parts.notWritten;
    this.unknown = parts.unknown;
  }
}

/** A slot is not where it should be. All keys are there, on one of the two nodes: call `reshard` again to finish it. */
export class ReshardError extends ClusterError {
  constructor(slot: number, step: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`Slot ${slot} stopped on its way, at ${step}: ${why}. Call reshard again to finish it.`, { cause });
  }
}

/** `close()` was called. A command that was on its way may have been carried out. */
export class RouterClosedError extends ClusterError {
  constructor() {
    super('The router is closed: make a new one.');
  }
}

/** There is no connection to that node, so nothing was sent. */
export class UnreachableError extends ClusterError {
  constructor(address: string, cause: unknown) {
    super(`${address} can't be reached (${cause instanceof Error ? cause.message : String(cause)})`, { cause });
  }
}
