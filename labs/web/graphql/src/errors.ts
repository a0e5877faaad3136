import { type ASTNode, GraphQLError } from 'graphql';

/** An argument that nothing could be done with: a mistake of the program, never of a client. */
export class InvalidArgumentError extends Error {
  readonly code = 'INVALID_ARGUMENT';
  override readonly name = 'InvalidArgumentError';
}

/** What a batch function has returned cannot be told apart by key. */
export class BatchError extends Error {
  readonly code = 'BATCH';
  override readonly name = 'BatchError';
}

export interface PublicErrorOptions extends ErrorOptions {
  /** What clients tell it by, as in `NOT_FOUND`. */
  readonly code: string;
  /** Of the whole HTTP response, other fields' answers in it or not. Left out: as GraphQL over HTTP has it. */
  readonly status?: number;
  readonly nodes?: ASTNode | readonly ASTNode[];
  /** More for the client to read. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The only kind of error that a client reads when a resolver throws it: see `maskErrors`. Its `cause` stays here. */
export class PublicError extends GraphQLError {
  readonly code: string;

  constructor(message: string, { code, status, nodes, details, cause }: PublicErrorOptions) {
    super(message, {
      nodes: nodes ?? null,
      extensions: { ...details, code, ...(status === undefined ? {} : { http: { status } }) },
    });
    this.code = code;
    if (cause !== undefined) this.cause = cause;
  }
}

export type LimitCode = 'DEPTH_LIMIT' | 'ALIAS_LIMIT' | 'COST_LIMIT' | 'TOKEN_LIMIT';

const SAID: Readonly<Record<LimitCode, (size: string, max: number) => string>> = {
  DEPTH_LIMIT: (size, max) => `it is ${size} levels deep, of ${max} at most`,
  ALIAS_LIMIT: (size, max) => `it has ${size} aliases, of ${max} at most`,
  COST_LIMIT: (size, max) => `it costs ${size}, of ${max} at most`,
  TOKEN_LIMIT: (size, max) => `it has ${size} tokens or more, of ${max} at most`,
};

/** A query that is refused for what it would be: HTTP 400, before any resolver has run. */
export class LimitExceededError extends PublicError {
  /** Infinity for what has no end. */
  readonly found: number;

  constructor(code: LimitCode, found: number, max: number, nodes?: ASTNode) {
    const size = Number.isFinite(found) ? `${found}` : 'endless';
    super(`The query is refused: ${SAID[code](size, max)}. Ask for less.`, {
      code,
      status: 400,
      details: { max },
      ...(nodes && { nodes }),
    });
    this.found = found;
  }
}
