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

/** Somebody else holds the lock, or enough of it. Wait longer (`retry.maxMs`) or tell the user that it is taken. */
export class LockHeldError extends NotAcquiredError {
  constructor(resources: readonly string[], attempts: number, votes: readonly Vote[]) {
    const [what, todo] = votes.some(isMissing)
      ? ['keys of others and nodes without an answer left no majority', 'Look at those nodes, or raise retry.maxMs.']
      : ['held by another client', 'Raise retry.maxMs to wait longer.'];
    super(what, resources, attempts, votes, todo);
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

/** Why an attempt with these votes did not get the lock. */
export function notAcquired(
  resources: readonly string[],
  attempts: number,
  votes: readonly Vote[],
  quorum: number,
): NotAcquiredError {
  if (votes.filter(({ answer }) => answer === 'yes').length >= quorum) {
    return new TooLateError(resources, attempts, votes);
  }
  const unreachable = votes.filter(isMissing).length > votes.length - quorum;
  return new (unreachable ? QuorumUnreachableError : LockHeldError)(resources, attempts, votes);
}

const isMissing = ({ answer }: Vote) => answer === 'error' || answer === 'silent';

/** The lease ended while its holder still needed it. What was done since then may have met another holder. */
export class LeaseLostError extends RedlockError {}

/** The lease was released before this call. */
export class LeaseReleasedError extends RedlockError {}

/**
 * A statement of the write failed and its error was swallowed: PostgreSQL has rolled the transaction back. Or the write
 * sent its own ROLLBACK or COMMIT. Or a statement came when the write had ended: it was not sent.
 */
export class WriteRolledBackError extends RedlockError {}
