import type { Vote } from './poll.ts';

/** Every error of this lock; `instanceof RedlockError` tells it from the errors of the routine that it guards. */
export abstract class RedlockError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** An argument that no lock can be made from. */
export class InvalidArgumentError extends RedlockError {}

const roll = (votes: readonly Vote[]) =>
  votes.map((vote) => `node ${vote.node}: ${vote.answer}${vote.error ? ` (${vote.error.message})` : ''}`).join(', ');

/** The lock was not acquired within `retry.maxMs`; `votes` is the ballot of the last attempt. No key of ours is left behind. */
export abstract class NotAcquiredError extends RedlockError {
  readonly resources: readonly string[];
  readonly attempts: number;
  readonly votes: readonly Vote[];

  constructor(what: string, resources: readonly string[], attempts: number, votes: readonly Vote[], todo: string) {
    super(`${resources.join(', ')}: ${what} after ${attempts} attempt(s): ${roll(votes)}. ${todo}`);
    this.resources = resources;
    this.attempts = attempts;
    this.votes = votes;
  }
}

/** Somebody else holds the lock. Wait longer (`retry.maxMs`) or tell the user that it is taken. */
export class LockHeldError extends NotAcquiredError {
  constructor(resources: readonly string[], attempts: number, votes: readonly Vote[]) {
    super('held by another client', resources, attempts, votes, 'Raise retry.maxMs to wait longer.');
  }
}

/** Too few nodes answered for any majority. An outage, not contention. */
export class QuorumUnreachableError extends NotAcquiredError {
  constructor(resources: readonly string[], attempts: number, votes: readonly Vote[]) {
    super(
      'no majority of nodes answered',
      resources,
      attempts,
      votes,
      'Check the silent nodes, or raise nodeTimeoutMs.',
    );
  }
}

/** A majority said yes, but so late that the TTL had run out. */
export class TooLateError extends NotAcquiredError {
  constructor(resources: readonly string[], attempts: number, votes: readonly Vote[]) {
    super('the majority answered after the TTL', resources, attempts, votes, 'Raise the TTL or look at the latency.');
  }
}

/** The lease ended while its holder still needed it. What was done since then may have met another holder. */
export class LeaseLostError extends RedlockError {}

/** The lease was released before this call. */
export class LeaseReleasedError extends RedlockError {}

/** A lease was passed to a `Redlock` that did not grant it. */
export class ForeignLeaseError extends RedlockError {}
