// Flaw: no server was found, so nothing was sent? The driver found one, lost its answer, and found none for the retry.
// Seen in: https://jira.mongodb.org/browse/DRIVERS-2327
// Caught by: a server that is not found says nothing of the write that was sent before
import { MongoServerSelectionError } from 'mongodb';
import { writeOutcome as given, type WriteOutcome } from '../src/index.ts';

export * from '../src/index.ts';

export function writeOutcome(error: unknown): WriteOutcome {
  return error instanceof MongoServerSelectionError ? 'not applied' : given(error);
}
