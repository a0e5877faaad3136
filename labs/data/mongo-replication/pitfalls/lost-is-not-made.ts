// Flaw: an error is taken for "it was not written". A write whose answer was lost is made again, or reported as a failure.
// Seen in: https://github.com/Automattic/mongoose/issues/13826
// Caught by: after a lost answer the outcome is unknown, after a no it is not applied, without its copies it is applied
import { MongoNetworkError } from 'mongodb';
import { writeOutcome as given, type WriteOutcome } from '../src/index.ts';

export * from '../src/index.ts';

export function writeOutcome(error: unknown): WriteOutcome {
  return error instanceof MongoNetworkError ? 'not applied' : given(error);
}
