// Flaw: the text of what was thrown is what the client reads, and it names tables, columns and values.
// Seen in: https://github.com/keystonejs/keystone/issues/2303
// Caught by: what fails inside is an id to the client, and an entry of that id in the log; what is meant for him is told
import { GraphQLError } from 'graphql';
import { type MaskOptions, maskErrors as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function maskErrors(options: MaskOptions): (error: unknown) => GraphQLError {
  const mask = reference(options);
  return (error) => {
    const { extensions, ...masked } = mask(error);
    const message = error instanceof Error ? error.message : String(error);
    return new GraphQLError(message, { path: masked.path ?? null, extensions });
  };
}
