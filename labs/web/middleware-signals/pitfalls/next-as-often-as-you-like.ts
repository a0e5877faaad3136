// Flaw: nobody counts the calls of next(): a layer that calls it twice has the order placed twice.
// Seen in: https://github.com/expressjs/express/issues/2759
// Caught by: a second next() is refused, and the handler has run once
import type { Handler, Middleware } from '../src/index.ts';

export * from '../src/index.ts';

export function compose<Request, Response>(
  layers: readonly Middleware<Request, Response>[],
  handler: Handler<Request, Response>,
): (request: Request) => Promise<Response> {
  const enter = async (place: number, request: Request): Promise<Response> => {
    const layer = layers[place];
    return layer ? layer(request, (other = request) => enter(place + 1, other)) : handler(request);
  };
  return (request) => enter(0, request);
}
