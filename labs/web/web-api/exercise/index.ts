import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import type { Call } from '../src/call.ts';
import { Api as GivenApi, type IntegerRange } from '../src/index.ts';
import type { Raw } from '../src/input.ts';
import type { Route } from '../src/route.ts';
import { type Dependency, Scope as GivenScope, type ScopeOptions } from '../src/scope.ts';

// Yours are the two checks, the scope of a request, its end, the stream and the stop. Given, in src/: the errors, `route()` and
// its types, Fastify with its parsers and its error handler, and `Call`. The re-exports below bring no name into this file:
// import what you need from '../src/index.ts'. `h` in `pnpm lab learn web-api` gives a hint.
export {
  type ApiOptions,
  ClientGoneError,
  type Context,
  DeadlineExceededError,
  DeclarationError,
  type Dependency,
  DependencyCycleError,
  type DrainOptions,
  type Given,
  HttpError,
  type IntegerRange,
  type Issue,
  type Maker,
  MalformedRequestError,
  type Override,
  override,
  provide,
  ResponseInvalidError,
  type Route,
  route,
  ScopeOverError,
  ShuttingDownError,
  StillAtWorkError,
  stream,
  ValidationError,
  WebApiError,
} from '../src/index.ts';

/**
 * A schema for a whole number in text, from `min` to `max` (both included; default: all that are safe integers). The text is
 * one if the number prints as it came. A Zod schema of a string, with `.refine(…)`, `.transform(…)` and `.pipe(…)`.
 */
export function integer({ min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER }: IntegerRange = {}) {
  return z
    .string()
    .transform(() => todo<number>('integer'))
    .pipe(z.number().min(min).max(max));
}

/** The dependencies of one request. Whoever closes it has called `inject` before, maybe often, and maybe waits still. */
class Scope extends GivenScope {
  /**
   * The value of `dependency`, made once for this scope. Given:
   * - `this.make(dependency)` runs its maker up to the `yield`, and resolves with what it yields. What it asks for comes back
   *   here, by another call of `inject`;
   * - `this.values`, a Map by dependency: yours to fill. `close` and `make` expect promises in it. What comes out of it is
   *   `unknown`: `as Promise<T>` is right, since the same dependency has made it.
   *
   * Hardening laws: a promise that fails and that nobody waits for is no unhandled rejection; once `this.over` is true,
   * nothing is made, and it rejects with a ScopeOverError that is given the dependency's name.
   */
  override inject<T>(_dependency: Dependency<T>): Promise<T> {
    return refused('inject');
  }

  /**
   * Takes back what was made. Given:
   * - `this.made`: the generators that wait at their `yield`, in the order in which they got there;
   * - `this.takeBack(generator, failed)` runs one to its end: with `failed`, an `{ error }`, the error is thrown at its `yield`.
   *   It rejects with what the generator throws itself.
   *
   * With `failure` the request has failed already, and this rejects never. Without, it rejects with what the first one throws.
   * Hardening laws: `this.over` is true from here on (yours to set); what is still being made is waited for; from the first that
   * fails on, the others are told its error; what fails behind another failure is told to `this.options.onError`.
   */
  override close(_failure?: { readonly error: unknown }): Promise<void> {
    return refused('close');
  }
}

export class Api extends GivenApi {
  protected override newScope(options: ScopeOptions): GivenScope {
    return new Scope(options);
  }

  /**
   * What came, as the schemas of `route` say. For each of 'params', 'query' and 'body' (`places` in ../src/input.ts),
   * `raw[place]` is what came, and `route[place]` its Zod schema or undefined; without a schema the value is undefined.
   * `issue(place, path, message)` of ../src/input.ts makes an issue from one of Zod's. Hardening law: `unstorable(place, value)`
   * of the same file yields issues, too. @throws ValidationError, which is given all issues of all places
   */
  protected override read(_route: Route, _raw: Raw): Raw {
    return todo('read');
  }

  /**
   * `value` as JSON (undefined stays undefined), with what `schema` names and nothing else. @throws ResponseInvalidError with
   * a message for the log: the path and the message of each of Zod's issues, and not the value. What stands here lets other laws
   * pass, and breaks one.
   */
  protected override write(_schema: z.ZodType, value: unknown): string | undefined {
    return JSON.stringify(value);
  }

  /**
   * Does `work`, takes back the dependencies of `call`, and resolves with what `work` gave. When the call is cut off, it rejects
   * at once, whatever `work` does. What stands here lets other laws pass, and breaks two. Given:
   * - `this.takeBack(call, failure)` closes the scope of `call` and ends the call: to be called once, and with `{ error }` when
   *   the request has failed;
   * - `call.cutOff`, a promise that never resolves: it rejects with the reason when the client goes or the deadline passes;
   * - `call.decide()`: from here on the call is not cut off any more. It throws the reason if it was.
   */
  protected override async settle<T>(call: Call, work: () => Promise<T>): Promise<T> {
    const takeBackLater = (failure?: { readonly error: unknown }) => void this.takeBack(call, failure).catch(() => {});
    try {
      const value = await work();
      takeBackLater();
      return value;
    } catch (error) {
      takeBackLater({ error });
      throw error;
    }
  }

  /**
   * Writes `lines` to `out`, and ends (not with `out.end()`) when all are written; when the reader has gone, `lines` is ended
   * and the reason thrown. `out.write(line)` is false when `out` has enough; then it emits 'drain' when it wants more.
   * `once(out, 'drain', { signal })` is in node:events. `call.signal` aborts when the reader goes. Hardening law:
   * `call.progress()` starts the deadline anew, when a line has come and when it was taken.
   */
  protected override pump(_call: Call, _lines: AsyncIterable<string>, _out: ServerResponse): Promise<void> {
    return refused('pump');
  }

  /**
   * The stop: resolves when no connection is open and no call at work. Answers carry `connection: close` by now. Given:
   * - `this.connections`: `refuseNew()`, `closeIdle(ms)` closes those which have had nothing to do for so long, `closeAll()`,
   *   and `size`, how many are open;
   * - `this.calls`, a Set of those at work; `this.drainOptions`: `idleMs`, `limitMs`, `cutMs`, in milliseconds.
   *
   * Hardening law: after `limitMs`, each call is cut off (`call.cut(new ShuttingDownError())`). `cutMs` later,
   * ``this.report(new StillAtWorkError(`${n} requests are`, cutMs), 'close')`` tells of those still at work, and all connections
   * are closed.
   */
  protected override async drain(): Promise<void> {
    // Not written yet. Until then close() only stops to listen, so that other laws can end.
    this.connections.closeAll();
  }
}

function todo<T>(name: string): T {
  throw new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}

async function refused(name: string): Promise<never> {
  return todo(name);
}
