// Flaw: the promise is returned out of the try block without await: what it rejects with passes by the catch.
// Seen in: https://github.com/fastify/fastify/issues/249
// Caught by: an error becomes a response at the boundary: inside of it an error is seen, outside a response
import type { boundary as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const boundary: typeof reference = (toResponse) => (request, next) => {
  try {
    return next();
  } catch (error) {
    return toResponse(error, request);
  }
};
