// Flaw: a layer that forgets to wait for next() answers for it: the answer is out before the work, and what the work throws ends the process.
// Seen in: https://github.com/koajs/koa/issues/882
// Caught by: a layer that does not wait for next() is named, and what it left is waited for
import { type Handler, type Middleware, NextCalledTwiceError } from '../src/index.ts';

export * from '../src/index.ts';

export function compose<Request, Response>(
  layers: readonly Middleware<Request, Response>[],
  handler: Handler<Request, Response>,
): (request: Request) => Promise<Response> {
  return (first) => {
    let reached = -1;
    const enter = async (place: number, request: Request): Promise<Response> => {
      if (place <= reached) throw new NextCalledTwiceError(`Layer ${place}`);
      reached = place;
      const layer = layers[place];
      return layer ? layer(request, (other = request) => enter(place + 1, other)) : handler(request);
    };
    return enter(0, first);
  };
}
