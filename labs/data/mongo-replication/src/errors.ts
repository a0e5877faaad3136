import type { WriteOutcome } from './outcome.ts';

/** Whatever this package refuses, or has to report of a write. */
export class ReplicationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

const MEANING = {
  applied: 'a primary has carried it out, but no majority has confirmed it: it may still be rolled back',
  'not applied': 'nothing was written',
  unknown: 'it may have been carried out: repeat it under the same key, or read before you go on',
} as const satisfies Record<WriteOutcome, string>;

/** A write, or a transaction, that was given up. `outcome` is what is known of all its attempts together. */
export class WriteFailedError extends ReplicationError {
  readonly outcome: WriteOutcome;
  readonly attempts: number;

  constructor(outcome: WriteOutcome, attempts: number, cause: unknown) {
    const why = cause instanceof Error ? cause.message : typeof cause;
    super(`Given up at attempt ${attempts} (${why}); ${MEANING[outcome]}.`, { cause });
    this.outcome = outcome;
    this.attempts = attempts;
  }
}

/** The key stands for another document already: a key is for one request. */
export class KeyTakenError extends ReplicationError {
  readonly key: unknown;

  constructor(key: unknown) {
    super(`The key ${String(key)} stands for another document: make a new key for each request.`);
    this.key = key;
  }
}

/** The document is there, but no majority has it yet. To be asked again: it never leaves this package. */
export class UnconfirmedError extends ReplicationError {}

/** A text that is no token of ours, or a session from which none can be made yet. */
export class CausalTokenError extends ReplicationError {}

/** A shard key, a value of it, or a list of chunks that can't be. */
export class ShardKeyError extends ReplicationError {}
