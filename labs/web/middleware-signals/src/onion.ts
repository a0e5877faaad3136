import { inspect } from 'node:util';
import { InvalidArgumentError, NextCalledTwiceError, NextNotAwaitedError, NoResponseError } from './errors.ts';

/** Answers a request. */
export type Handler<Request, Response> = (request: Request) => Promise<Response> | Response;

/**
 * One layer around a handler. What it does before `next` is done on the way in, what it does after on the way out. Without
 * calling `next` it answers by itself. `next` takes the request on, or another one in its place.
 */
export type Middleware<Request, Response> = (
  request: Request,
  next: (request?: Request) => Promise<Response>,
) => Promise<Response> | Response;

/**
 * Wraps `handler` into `layers`; the first is the outermost. The layers of one request are called one after the other, those
 * of several at the same time. As Django's middleware does, a layer has the response in hand on the way out.
 *
 * What the returned function rejects with is what a layer or the handler threw, or, each with the layer's name:
 * NextCalledTwiceError, NextNotAwaitedError, NoResponseError.
 * @throws InvalidArgumentError for what is no function
 */
export function compose<Request, Response>(
  layers: readonly Middleware<Request, Response>[],
  handler: Handler<Request, Response>,
): (request: Request) => Promise<Response> {
  const all = [...layers, handler];
  for (const [place, layer] of all.entries()) {
    if (typeof layer !== 'function') {
      throw new InvalidArgumentError(`${nameOf(all, place)} is ${inspect(layer, { depth: 0 })}: give a function.`);
    }
  }
  const onion = [...layers];
  const enter = (place: number, request: Request): Promise<Response> => {
    // The handler is the layer that goes no further: it gets no `next`, which it would take for an option of its own.
    const layer = onion[place] ?? ((last: Request) => handler(last));
    return pass(
      layer,
      () => nameOf(all, place),
      request,
      (other) => enter(place + 1, other),
    );
  };
  return (request) => enter(0, request);
}

async function pass<Request, Response>(
  layer: Middleware<Request, Response>,
  name: () => string,
  request: Request,
  inward: (request: Request) => Promise<Response>,
): Promise<Response> {
  const calls: Promise<Response>[] = [];
  const state = { innerIsDone: false, isDone: false, calledTwice: false };
  const next = (other = request): Promise<Response> => {
    if (state.isDone) return refused(new NextNotAwaitedError(name()));
    if (calls.length > 0) {
      state.calledTwice = true;
      return refused(new NextCalledTwiceError(name()));
    }
    const inner = inward(other);
    const done = () => {
      state.innerIsDone = true;
    };
    // Handled by this: who does not wait for it must not end the process.
    inner.then(done, done);
    calls.push(inner);
    return inner;
  };
  let response: Response | undefined;
  let failure: { readonly error: unknown } | undefined;
  try {
    response = await layer(request, next);
  } catch (error) {
    failure = { error };
  }
  state.isDone = true;
  if (calls.length > 0 && !state.innerIsDone) {
    // It would work on beside the answer.
    const [inner] = await Promise.allSettled(calls);
    const late = inner?.status === 'rejected' ? inner.reason : undefined;
    throw new NextNotAwaitedError(name(), { cause: failure ? failure.error : late });
  }
  if (failure) throw failure.error;
  if (state.calledTwice) throw new NextCalledTwiceError(name());
  if (response === undefined) throw new NoResponseError(name());
  return response;
}

function refused(error: Error): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}

const nameOf = (all: readonly { readonly name: string }[], place: number): string => {
  const given = all[place]?.name;
  const kind = place === all.length - 1 ? 'The handler' : `Layer ${place + 1}`;
  return given ? `${kind} (${String(given)})` : kind;
};

/**
 * A layer that turns what is thrown inside of it into a response. The layers inside of it see the error, so that a
 * transaction is rolled back; those outside see a response, so that a log has its status.
 */
export function boundary<Request, Response>(
  toResponse: (error: unknown, request: Request) => Promise<Response> | Response,
): Middleware<Request, Response> {
  return async function boundary(request, next) {
    try {
      return await next();
    } catch (error) {
      return toResponse(error, request);
    }
  };
}
