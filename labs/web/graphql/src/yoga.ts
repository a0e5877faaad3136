import { inspect } from 'node:util';
import {
  type DocumentNode,
  type ExecutionArgs,
  type GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  getVariableValues,
  Lexer,
  Source,
  specifiedRules,
  TokenKind,
  type ValidationRule,
  validate,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { InvalidArgumentError, LimitExceededError, PublicError } from './errors.ts';
import type { QueryRequest } from './persisted.ts';

/** Runs what is on the list, and nothing else: `usePersisted(persisted(texts))`. Put it before the limits. */
export function usePersisted(textOf: (request: QueryRequest) => string): Plugin {
  return {
    onParams({ params, setParams }) {
      setParams({ ...params, query: textOf(params) });
    },
  };
}

export interface LimitsOptions {
  /** Most tokens of a query's text: parsing and graphql's own rules take time too. Default 1000. */
  readonly tokens?: number;
  /** Made for each request, with its variables: `costLimit` needs them. */
  readonly rules: (request: { readonly variables: Record<string, unknown> | undefined }) => readonly ValidationRule[];
}

/**
 * Refuses a query by its text. The rules run before graphql's own, of which some take far longer than a walk, and each time:
 * yoga keeps the outcome of a validation by the text and the names of the rules, without the variables. Names that a client
 * misspells are not set right: "Did you mean" tells a schema to whoever guesses.
 * @throws InvalidArgumentError
 */
export function useLimits({ tokens = 1000, rules }: LimitsOptions): Plugin {
  refuseUnlessPositive('tokens', tokens);
  return {
    onParams({ params: { query } }) {
      if (typeof query === 'string') refuseManyTokens(query, tokens);
    },
    onValidate({ params: { schema, documentAST }, context, setValidationFn }) {
      const [refused] = validate(schema, documentAST, rules({ variables: context.params.variables }));
      if (refused) throw refused;
      setValidationFn((s: GraphQLSchema, document: DocumentNode, own: readonly ValidationRule[] = specifiedRules) =>
        validate(s, document, own, { hideSuggestions: true }),
      );
    },
    onExecute: ({ args, setResultAndStopExecution }) => refuseBadVariables(args, setResultAndStopExecution),
    onSubscribe: ({ args, setResultAndStopExecution }) => refuseBadVariables(args, setResultAndStopExecution),
  };
}

/** The executor is told of hideSuggestions in vain where a value is one of an enum. */
function refuseBadVariables(
  { schema, document, operationName, variableValues }: ExecutionArgs,
  refuse: (result: { errors: PublicError[] }) => void,
): void {
  const definitions = getOperationAST(document, operationName)?.variableDefinitions ?? [];
  const options = { maxErrors: 10, hideSuggestions: true };
  const { errors } = getVariableValues(schema, definitions, variableValues ?? {}, options);
  if (errors) refuse({ errors: errors.map(badVariable) });
}

const badVariable = ({ message, nodes = [] }: GraphQLError) =>
  new PublicError(message, { code: 'BAD_VARIABLE', status: 400, nodes });

function refuseManyTokens(text: string, max: number): void {
  const lexer = new Lexer(new Source(text));
  for (let count = 0; isToken(lexer); ) {
    if (++count > max) throw new LimitExceededError('TOKEN_LIMIT', count, max);
  }
}

/** False at the end, and at what the parser will refuse with a code of its own. */
function isToken(lexer: Lexer): boolean {
  try {
    return lexer.advance().kind !== TokenKind.EOF;
  } catch {
    return false;
  }
}

/** In ms: behind this, setTimeout fires at once. */
const LONGEST = 2 ** 31 - 1;

/**
 * A request is over when its client has gone, or after `ms` milliseconds, with HTTP 504 and DEADLINE: then no further resolver
 * begins, and `context.signal` is aborted, for loaders and whatever else a resolver waits for. A statement that is under way is
 * not called back: what a mutation has begun may still be done. The building of the context counts, but is not cut short; a
 * subscription that has begun has neither deadline nor signal.
 * @throws InvalidArgumentError
 */
export function useDeadline(ms: number): Plugin {
  refuseUnlessPositive('The deadline', ms);
  if (ms > LONGEST) throw new InvalidArgumentError(`The deadline is ${ms} ms: a timer has ${LONGEST} at most.`);
  const requests = new WeakMap<object, { readonly signal: AbortSignal; readonly end: () => void }>();
  return {
    onEnveloped({ context }) {
      if (!context) return;
      const ending = new AbortController();
      const done = new AbortController();
      const late = new PublicError(`No answer within ${ms} ms.`, { code: 'DEADLINE', status: 504 });
      const timer = setTimeout(() => ending.abort(late), ms);
      const client = context.request.signal;
      const gone = () => ending.abort(client.reason);
      if (client.aborted) gone();
      else client.addEventListener('abort', gone, { signal: done.signal });
      const { signal } = ending;
      const end = () => {
        clearTimeout(timer);
        done.abort();
      };
      requests.set(context, { signal, end });
      Object.assign(context, { signal });
    },
    onExecute({ args, executeFn, setExecuteFn }) {
      const { signal } = requests.get(args.contextValue) ?? {};
      if (!signal) return;
      Object.assign(args, { signal });
      // The executor looks at the signal between the fields of a mutation, and waits for each as long as it takes.
      setExecuteFn((...now) => Promise.race([executeFn(...now), rejectedBy(signal)]));
    },
    onExecutionResult({ context }) {
      requests.get(context)?.end();
    },
  };
}

function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function refuseUnlessPositive(what: string, n: unknown): void {
  if (!(Number.isSafeInteger(n) && Number(n) > 0)) {
    throw new InvalidArgumentError(`${what} is ${inspect(n)}: give a whole number above 0.`);
  }
}
