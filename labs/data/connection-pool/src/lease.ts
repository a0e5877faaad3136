import { once } from 'node:events';
import { Client, type ClientConfig, DatabaseError, type QueryConfig, type QueryResult, type QueryResultRow } from 'pg';
import { ConnectionLostError, LeaseReleasedError } from './errors.ts';

/** Who has a connection. */
export interface Holder {
  /** Milliseconds since it was lent. */
  readonly heldMs: number;
  /** How long it is out, and the stack that asked for it. */
  readonly taken: string;
}

/** A connection, and what is known of its health. */
export class Member {
  readonly client: Client;
  readonly bornAt = performance.now();
  idleSince = this.bornAt;
  /** Why it is good for nothing any more. */
  broken: Error | undefined;

  /** @param died called when the connection ends by itself */
  constructor(config: ClientConfig, died: (member: Member) => void) {
    this.client = new Client(config);
    // Nobody waits for an answer of an idle connection, so its end is an event; one that nobody hears ends the process.
    this.client.on('error', (error) => {
      this.broken ??= error;
      died(this);
    });
  }

  /** The error for the caller. After any but a refusal of Postgres nobody knows what the connection's next answer is to. */
  explain(error: unknown, outcome: ConnectionLostError['outcome'] = 'unknown'): unknown {
    if (error instanceof DatabaseError && !isLast(error)) return error;
    this.broken ??= new Error('a query has failed', { cause: error });
    return new ConnectionLostError(outcome, error);
  }

  /** pg tells an error before Postgres has said whether a transaction is open after it. Resolves when it has, or is gone. */
  async settled(): Promise<void> {
    if ('readyForQuery' in this.client && this.client.readyForQuery === true) return;
    const heard = new AbortController();
    const words = ['readyForQuery', 'end'].map((word) => once(this.client.connection, word, heard));
    await Promise.race(words).catch(() => {});
    heard.abort();
  }

  /** Ends it; a server that hangs is not waited for. */
  async end(): Promise<void> {
    this.broken ??= new Error('the pool has closed this connection');
    const hangs = setTimeout(() => this.client.connection.stream.destroy(), 1_000).unref();
    await this.client.end().finally(() => clearTimeout(hangs));
  }
}

/**
 * Whether Postgres ends the connection with this. `severity` is in the server's language. 08P01 it says of a message that it
 * has understood, such as a statement that lacks a parameter.
 */
function isLast({ code, severity }: DatabaseError): boolean {
  return /^(08(?!P01)...|57P0[1-5]|25P0[34])$/.test(code ?? '') || /^(FATAL|PANIC)$/.test(severity ?? '');
}

/** Whether it may end a transaction: then it is unknown what became of what was written in it. */
function mayCommit(query: string | QueryConfig): boolean {
  return /(^|[;/\n])\s*(commit|end|prepare)\b/i.test(typeof query === 'string' ? query : query?.text);
}

/** A connection, for as long as it is lent. `using` gives it back at the end of the block. */
export class Lease {
  readonly member: Member;
  readonly since = performance.now();
  readonly #taken: { readonly stack?: string };
  readonly #giveBack: (lease: Lease) => void;
  #concluded = false;
  released = false;
  /** Queries that were sent and not answered. */
  pending = 0;
  /** Whether its leak was reported. */
  reported = false;

  constructor(member: Member, taken: { readonly stack?: string }, giveBack: (lease: Lease) => void) {
    this.member = member;
    this.#taken = taken;
    this.#giveBack = giveBack;
  }

  /** Postgres' word at the last answer: `I` outside of a transaction, `T` inside, `E` inside one that has failed. */
  get status(): 'I' | 'T' | 'E' | null {
    return this.member.client.getTransactionStatus();
  }

  get holder(): Holder {
    const heldMs = performance.now() - this.since;
    const stack = this.#taken.stack?.replace(/^.*/, '') ?? ' (set leakAfterMs to see where)';
    return { heldMs, taken: `One is out for ${heldMs.toFixed(0)} ms, taken${stack}` };
  }

  /** As pg's `client.query`. @throws DatabaseError, ConnectionLostError, LeaseReleasedError */
  async query<R extends QueryResultRow>(query: string | QueryConfig, values?: unknown[]): Promise<QueryResult<R>> {
    if (this.#concluded) throw new LeaseReleasedError('the transaction is at its end: await all that belongs into it');
    return this.#send(query, values);
  }

  /** The last words of a transaction: whoever still asks on behalf of its routine would be outside of it, and is refused. */
  conclude<R extends QueryResultRow>(query: string): Promise<QueryResult<R>> {
    this.#concluded = true;
    return this.#send(query);
  }

  async #send<R extends QueryResultRow>(query: string | QueryConfig, values?: unknown[]): Promise<QueryResult<R>> {
    if (this.released) throw new LeaseReleasedError('this connection was given back: acquire one anew');
    const isUndone = this.member.broken !== undefined || (this.status !== 'I' && !mayCommit(query));
    this.pending++;
    try {
      return await this.member.client.query<R>(query, values);
    } catch (error) {
      const explained = this.member.explain(error, isUndone ? 'undone' : 'unknown');
      if (!this.member.broken) await this.member.settled();
      throw explained;
    } finally {
      this.pending--;
    }
  }

  /** Gives the connection back. @throws LeaseReleasedError the second time: it may be somebody else's by then */
  release(): void {
    if (this.released) throw new LeaseReleasedError('this connection was given back already');
    this.released = true;
    this.#giveBack(this);
  }

  [Symbol.dispose](): void {
    if (!this.released) this.release();
  }
}
