// Flaw: what an error says, and the status that it has, is passed on to the client: a 500 tells of the database, and a 404 of a server behind becomes ours.
// Seen in: https://github.com/fastify/fastify/issues/4513
// Caught by: whatever goes wrong is answered as a problem, with its own status, and says nothing that is only ours
import { Problem, toProblem as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function toProblem(error: unknown): Problem {
  const known = reference(error);
  if (known.status < 500 || !(error instanceof Error)) return known;
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  return new Problem(status, error.message);
}
