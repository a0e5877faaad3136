import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { escapeIdentifier, type Pool, type PoolClient } from 'pg';
import { z } from 'zod';
import { checkHeaders, PROBLEM_JSON, Problem } from './problem.ts';

/** What a request is remembered under. */
export interface Claim {
  /** Whoever asks: a key is his own. */
  readonly principal: string;
  readonly key: string;
  /** A hash of what was asked for. */
  readonly fingerprint: string;
}

/** An answer as it is sent, and sent again. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Does what was asked for, inside the transaction, and awaits it: `tx` refuses what comes when it has ended. */
export type Work = (tx: PoolClient) => Promise<Answer>;

export interface IdempotencyOptions {
  /** Has a listener for `error`. */
  readonly pool: Pool;
  /** A table of its own, which `prepare` makes. Default `idempotency_keys`. */
  readonly table?: string;
  /** How long a key is remembered, in ms. Tell your clients: a retry after that is a new request. Default a day. */
  readonly ttlMs?: number;
}

/**
 * The header `Idempotency-Key` of https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/, in Postgres. The
 * record of a request is committed in the transaction of what the request does: both are there, or neither. While that runs, an
 * advisory lock stands for it, which ends with the transaction and with the connection: a process that dies leaves nothing
 * behind that says "in flight" for ever.
 */
export class IdempotencyStore {
  protected readonly pool: Pool;
  protected readonly ttlMs: number;
  readonly #name: string;
  /** Quoted. */
  protected readonly table: string;

  /** @throws RangeError */
  constructor({ pool, table = 'idempotency_keys', ttlMs = 86_400_000 }: IdempotencyOptions) {
    if (!(ttlMs > 0 && Number.isFinite(ttlMs))) throw new RangeError(`ttlMs is ${ttlMs}: give milliseconds above 0.`);
    this.pool = pool;
    this.ttlMs = ttlMs;
    this.#name = table;
    this.table = escapeIdentifier(table);
  }

  /** Makes the table, unless it is there: one process at a time, since Postgres fails one of two that do it together. */
  async prepare(): Promise<void> {
    await this.pool.query(`SELECT pg_advisory_xact_lock(hashtext('idempotency_keys')); CREATE TABLE IF NOT EXISTS ${this.table} (principal text, key text, fingerprint text NOT NULL,
      status int NOT NULL, headers json NOT NULL, body text NOT NULL, made timestamptz NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (principal, key))`);
  }

  /**
   * Does `work` in a transaction, or answers as it was answered before.
   * @throws Problem 409 while the same is in flight, 422 for a key that stood for something else; RangeError for a principal or a
   *   key that is empty or no text; what `work` throws, and what Postgres answers. After those nothing is remembered, and the
   *   retry does it.
   */
  async once(claim: Claim, work: Work): Promise<Answer> {
    for (const text of [claim.principal, claim.key]) {
      // Postgres refuses U+0000, and half a surrogate pair would become another customer's name.
      if (/^[^\0\p{Cs}]+$/u.test(text)) continue;
      throw new RangeError(`${JSON.stringify(text)} is nobody's name and no key: give text without U+0000.`);
    }
    return committed(this.pool, (tx) => this.perform(tx, claim, work));
  }

  /** Inside the transaction. */
  protected async perform(tx: PoolClient, claim: Claim, work: Work): Promise<Answer> {
    if (!(await this.tryLock(tx, claim))) throw inFlight();
    const found = await this.find(tx, claim);
    if (found?.fingerprint === claim.fingerprint) return found.answer;
    if (found) throw usedBefore(claim.key);
    const answer = await work(tx);
    await this.remember(tx, claim, answer);
    return answer;
  }

  /** Until the transaction ends. @returns false when another transaction has it */
  protected async tryLock(tx: PoolClient, { principal, key }: Claim): Promise<boolean> {
    const text = JSON.stringify([this.#name, principal, key]);
    const { rows } = await tx.query<{ locked: boolean }>(
      'SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS locked',
      [text],
    );
    return rows[0]?.locked === true;
  }

  /** What was answered under this key, unless it has expired. */
  protected async find(
    tx: PoolClient,
    { principal, key }: Claim,
  ): Promise<{ readonly fingerprint: string; readonly answer: Answer } | undefined> {
    const { rows } = await tx.query<Answer & { fingerprint: string }>(
      `SELECT fingerprint, status, headers, body FROM ${this.table}
       WHERE principal = $1 AND key = $2 AND made > clock_timestamp() - $3 * interval '1 ms'`,
      [principal, key, this.ttlMs],
    );
    const [row] = rows;
    return (
      row && { fingerprint: row.fingerprint, answer: { status: row.status, headers: row.headers, body: row.body } }
    );
  }

  protected async remember(tx: PoolClient, { principal, key, fingerprint }: Claim, answer: Answer): Promise<void> {
    await tx.query(
      `INSERT INTO ${this.table} VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (principal, key) DO UPDATE SET
       fingerprint = $3, status = $4, headers = $5, body = $6, made = clock_timestamp()`,
      [principal, key, fingerprint, answer.status, JSON.stringify(answer.headers), answer.body],
    );
  }

  /** Deletes what has expired, a thousand keys a turn, but for keys that are used again just now. @returns how many */
  async prune(): Promise<number> {
    let pruned = 0;
    for (let last = 1000; last === 1000; pruned += last) {
      const { rowCount } = await this.pool.query(
        `DELETE FROM ${this.table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${this.table}
         WHERE made <= clock_timestamp() - $1 * interval '1 ms' LIMIT 1000 FOR UPDATE SKIP LOCKED))`,
        [this.ttlMs],
      );
      last = rowCount ?? 0;
    }
    return pruned;
  }
}

/**
 * When `work` has ended, the `query` of its `tx` rejects: await all that belongs to it.
 * @throws what `work` throws, and what Postgres answers; then it is rolled back, or the connection is gone
 */
export async function committed<T>(pool: Pool, work: (tx: PoolClient) => Promise<T>): Promise<T> {
  let broken: Error | undefined;
  const lose = (error: Error) => {
    broken = error;
  };
  const tx = await new Promise<PoolClient>((resolve, reject) => {
    pool.connect((error, client) => {
      // Nobody else listens to a connection in use: its end would end the process. An await would be too late.
      client?.on('error', lose);
      if (client) resolve(client);
      else reject(error);
    });
  });
  try {
    await tx.query('BEGIN');
    const answer = await lent(tx, work);
    await tx.query('COMMIT');
    return answer;
  } catch (error) {
    await tx.query('ROLLBACK').catch(lose);
    throw error;
  } finally {
    tx.release(broken);
    // One that is broken has no other listener any more, and may still have more to say.
    if (!broken) tx.off('error', lose);
  }
}

/** What comes after `work` would be kept with its refusal, by itself, or in another's transaction. */
async function lent<T>(tx: PoolClient, work: (tx: PoolClient) => Promise<T>): Promise<T> {
  let over = false;
  const late = () =>
    Promise.reject(new Error('The work has ended, and this statement came too late: it was not sent.'));
  const query = (...asked: unknown[]): unknown => (over ? late() : Reflect.apply(tx.query, tx, asked));
  try {
    return await work(new Proxy(tx, { get: (of, key) => (key === 'query' ? query : Reflect.get(of, key)) }));
  } finally {
    over = true;
  }
}

export const inFlight = (): Problem =>
  new Problem(409, 'A request with this Idempotency-Key is being worked on: try again in a moment.', {
    code: 'in-flight',
    headers: { 'retry-after': '1' },
  });

export const usedBefore = (key: string): Problem =>
  new Problem(422, `The Idempotency-Key ${key} stood for another request: make a new key for a new request.`, {
    code: 'key-used-before',
  });

/** The header, for a route's schema. Compared as it comes: quotes, which the draft asks for, are a part of it. */
export const idempotencyKey = z
  .string()
  .regex(/^[!-~]{1,255}$/)
  .meta({
    description: 'Made by the client, new for each request and kept for its retries: a UUID',
    examples: ['8e03978e-40d5-43dd-bc93-6894a57f9324'],
  });

/** A route's `preValidation`: without the header it is a 400 that says what to do. */
export async function requireIdempotencyKey({ headers }: FastifyRequest): Promise<void> {
  keyOf(headers['idempotency-key']);
}

function keyOf(header: unknown): string {
  const { data } = idempotencyKey.safeParse(header);
  if (data !== undefined) return data;
  const wrong = header ? 'is ill-formed' : 'is missing';
  const detail = `The header Idempotency-Key ${wrong}: make a UUID for this request, and keep it for its retries.`;
  throw new Problem(400, detail, { code: header ? 'key-ill-formed' : 'key-missing' });
}

/** What a handler answers: `body` by the response's schema for `status`; without one there is no body. */
export interface Reply {
  /** From 200 to 499: throw what is a 500, so that it is undone. */
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/**
 * Answers the request by `store.once`. What `work` throws as a Problem below 500 is an answer as well: what it did is undone,
 * and a retry gets the same refusal. The body goes through the response's schema before COMMIT, so that nothing is done that
 * can't be answered.
 * @throws Problem 400 when the header is missing; see `once`
 */
export async function idempotent(
  store: Pick<IdempotencyStore, 'once'>,
  {
    request,
    reply,
    principal,
  }: { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly principal: string },
  work: (tx: PoolClient) => Promise<Reply>,
): Promise<void> {
  const key = keyOf(request.headers['idempotency-key']);
  const claim = { principal, key, fingerprint: fingerprintOf(request.method, request.url, request.body) };
  const { status, headers, body } = await store.once(claim, async (tx) => {
    await tx.query('SAVEPOINT work');
    try {
      return written(reply, await lent(tx, work));
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      await tx.query('ROLLBACK TO SAVEPOINT work');
      const { headers, details } = error;
      return {
        status: error.status,
        headers: { 'content-type': PROBLEM_JSON, ...headers },
        body: JSON.stringify(details),
      };
    }
  });
  // Bytes are sent as they are.
  await reply.code(status).headers(headers).send(Buffer.from(body));
}

/** By the response's schema. @throws what can't be sent */
function written(reply: FastifyReply, { status, headers = {}, body }: Reply): Answer {
  if (!(Number.isInteger(status) && status >= 200 && status <= 499)) {
    throw new RangeError(`${status} is no status to remember: give 200 to 499, and throw what is a 500.`);
  }
  checkHeaders(headers);
  if (body === undefined) return { status, headers, body: '' };
  return { status, headers: { 'content-type': JSON_UTF8, ...headers }, body: serializerOf(reply, status)(body) };
}

/** The response's schema is given for a status, for its class, or for all; alone or by content type. */
function serializerOf(reply: FastifyReply, status: number): (body: unknown) => string {
  for (const which of [`${status}`, `${status}`.replace(/..$/, 'xx'), 'default']) {
    const found = reply.getSerializationFunction(which, 'application/json') ?? reply.getSerializationFunction(which);
    if (isSerializer(found)) return found;
  }
  return JSON.stringify;
}

const isSerializer = (found: unknown): found is (body: unknown) => string => typeof found === 'function';

const JSON_UTF8 = 'application/json; charset=utf-8';

/** The same for bodies that say the same in another order. @throws Problem 422 for one that is thousands of levels deep; TypeError */
function fingerprintOf(method: string, url: string, body: unknown): string {
  const sorted = (_: string, value: unknown): unknown => {
    if (typeof value === 'bigint') return `${value}n`;
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
    // A Set, a Map or a stream looks empty, and each would pass for the other.
    const kind: unknown = Object.getPrototypeOf(value);
    if (kind !== null && Object.getPrototypeOf(kind) !== null) {
      throw new TypeError(
        `The body has a ${value.constructor.name} in it: only plain JSON can be told from other JSON.`,
      );
    }
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  try {
    return createHash('sha256')
      .update(JSON.stringify([method, url, body ?? null], sorted))
      .digest('hex');
  } catch (cause) {
    if (cause instanceof RangeError) throw new Problem(422, 'The body is nested too deep.', { cause });
    throw cause;
  }
}
