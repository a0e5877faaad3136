import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { GraphQLError } from 'graphql';
import { PublicError } from './errors.ts';

export interface Incident {
  /** What the client was told, for finding this entry again. */
  readonly id: string;
  /** As it was thrown; what was no Error, graphql has put into one. */
  readonly error: unknown;
  /** Of the field, as in `['articles', 3, 'author']`; undefined when it belongs to none. */
  readonly path: readonly (string | number)[] | undefined;
}

export interface MaskOptions {
  /** Told of each error that the client doesn't read. What it throws changes nothing. */
  readonly onIncident: (incident: Incident) => void;
}

/**
 * For graphql-yoga's `maskedErrors: { maskError: maskErrors({ onIncident }) }`. What a resolver throws is told to the client
 * when it is a PublicError, and otherwise replaced by an id: the text of an error of the database, or of a scalar that cannot be
 * serialized, has values and names in it. graphql's own errors about the query, which belong to no field, pass.
 */
export function maskErrors({ onIncident }: MaskOptions): (error: unknown) => GraphQLError {
  return (error) => {
    const located = error instanceof GraphQLError ? error : undefined;
    const thrown = located ? thrownIn(located) : error;
    const isAboutTheQuery = thrown instanceof GraphQLError && located?.path === undefined;
    if (located && (thrown instanceof PublicError || isAboutTheQuery)) return located;
    const id = randomUUID();
    report(onIncident, { id, error: thrown, path: located?.path });
    return new GraphQLError('Something went wrong on our side. Tell us the id, if it stays so.', {
      nodes: located?.nodes ?? null,
      path: located?.path ?? null,
      extensions: { code: 'INTERNAL', id, ...(located?.path ? {} : { http: { status: 500 } }) },
    });
  };
}

/** graphql wraps what is thrown to say where; some executors do so twice. */
function thrownIn(error: GraphQLError): unknown {
  let inner: unknown = error;
  while (inner instanceof GraphQLError && inner.originalError && !(inner instanceof PublicError)) {
    inner = inner.originalError;
  }
  return inner;
}

function report(onIncident: (incident: Incident) => unknown, incident: Incident): void {
  const warn = (cause: unknown) => process.emitWarning(`onIncident has failed: ${inspect(cause)}`, 'LabWarning');
  try {
    Promise.resolve(onIncident(incident)).catch(warn);
  } catch (error) {
    warn(error);
  }
}
