// Flaw: a rule that knows this request's variables is handed to a server that keeps the outcome of a validation by the query's
// text: the first request with `$n` decides for all that follow, whatever their `$n` is.
// Seen in: https://github.com/mercurius-js/mercurius/issues/481
// Caught by: a hostile query is refused with 400 and a code before a statement is sent
import type { Plugin } from 'graphql-yoga';
import { type LimitsOptions, useLimits as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function useLimits({ rules, ...options }: LimitsOptions): Plugin {
  return {
    ...reference({ ...options, rules }),
    onValidate({ context, addValidationRule }) {
      for (const rule of rules({ variables: context.params.variables })) addValidationRule(rule);
    },
  };
}
