import type { Callback, Frame } from '../src/frame.ts';
import {
  type ConnectOptions,
  Database as GivenDatabase,
  type Handler,
  type Heard,
  type Middleware,
  type Receiver,
} from '../src/index.ts';

// Yours are the onion, the signal, and what a transaction does with its callbacks. Given, in src/: the errors (an editor shows
// what their constructors take), and `Frame`: a transaction or a savepoint on its connection. The re-exports below bring no
// name into this file: import what you need from '../src/index.ts'. `h` in `pnpm lab learn middleware-signals` gives a hint.
export {
  type AtomicOptions,
  CommitUnknownError,
  type ConnectOptions,
  type DatabaseOptions,
  type Handler,
  type Heard,
  InvalidArgumentError,
  type Middleware,
  NextCalledTwiceError,
  NextNotAwaitedError,
  NoResponseError,
  NotDurableError,
  type Receiver,
  RolledBackError,
  StackError,
  TransactionOverError,
} from '../src/index.ts';

/**
 * Wraps `handler` into `layers`; the first is the outermost. A layer calls `next` once at most, without an argument when it
 * passes its own request on, and waits for it. Otherwise the request rejects, whatever the layer made of it, with an error that
 * is made with the layer's name, `Layer 1 (log)` for the first one when it is a function named `log`:
 * - NextCalledTwiceError: the second `next()` rejects with it, and so does the request;
 * - NextNotAwaitedError: the layer has ended before its `next()` has. Its `cause` is what the layer threw, or else what lies
 *   inside of it. The request ends when that has ended.
 *
 * Neither leaves an unhandled rejection behind. Hardening laws: what is no function is refused with an InvalidArgumentError,
 * and who returns undefined with a NoResponseError; the handler is given the request and no `next`.
 */
export function compose<Request, Response>(
  _layers: readonly Middleware<Request, Response>[],
  _handler: Handler<Request, Response>,
): (request: Request) => Promise<Response> {
  return () => todo('compose');
}

/** A layer that turns what is thrown inside of it into a response. */
export function boundary<Request, Response>(
  _toResponse: (error: unknown, request: Request) => Promise<Response> | Response,
): Middleware<Request, Response> {
  return () => todo('boundary');
}

/** Tells whoever wants to know, one after the other, in the order of connecting. */
export class Signal<Payload, Sender = unknown> {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** How many are connected. */
  get size(): number {
    return 0;
  }

  /**
   * From the next telling on `receiver` is told: of everything, or of what `options.sender` sends (compared by `Object.is`). For
   * the same sender, a second connection of the same uid isn't made, nor, where no uid is given, one of the same function. The
   * Disposable takes back what this call has made: a hardening law, as are `disconnect` and that a sender which is there, but
   * undefined, is refused.
   */
  connect(_receiver: Receiver<Payload, Sender>, _options: ConnectOptions<Sender> = {}): Disposable {
    return { [Symbol.dispose]: () => {} };
  }

  /** Takes back what `connect` with the same receiver, or the same uid, and sender has made. @returns whether there was one */
  disconnect(_receiver: Receiver<Payload, Sender> | string | symbol, _o: { readonly sender?: Sender } = {}): boolean {
    return false;
  }

  /** The first that throws is the last that is told. @returns what each has returned @throws what a receiver throws */
  send(_payload: Payload, _sender: Sender): Promise<unknown[]> {
    return todo('send');
  }

  /** Tells everybody, whatever becomes of the others. Rejects never: look at what it returns. */
  sendRobust(_payload: Payload, _sender: Sender): Promise<Heard<Payload, Sender>[]> {
    return todo('sendRobust');
  }
}

/**
 * Given: `atomic`, which calls `outermost` or, inside of another, `inner`; `query`; and
 * - `this.frames`, an AsyncLocalStorage: `getStore()` is the frame that the running code is inside of, or undefined;
 * - `Frame.begin(this.pool)` of ../src/frame.ts begins a transaction, `outer.savepoint()` a savepoint in it. `atomic` calls
 *   `inner` when its turn has come: an `inTurn` of yours in it would wait for itself;
 * - `this.settle(frame, body)` runs `body` inside of it, then commits it or releases the savepoint; when `body` throws, it undoes
 *   the frame and throws the same;
 * - `frame.callbacks`, an array: what the code inside of it has asked for. `frame.over`: it has ended;
 * - `this.report(error)` tells the `onError` of the options, and throws never.
 */
export class Database extends GivenDatabase {
  /** Remembers `callback` with the frame that the caller is inside of; outside of any `tell` calls it at once. */
  override onCommit(_callback: Callback): void {
    throw new Error('onCommit is not written yet: its comment in attempt/index.ts is the task.');
  }

  /** A transaction, and then its callbacks. */
  protected override outermost<T>(_body: () => Promise<T> | T): Promise<T> {
    return todo('outermost');
  }

  /** A savepoint. What becomes of its callbacks is decided by the frame that it lies in. */
  protected override inner<T>(_outer: Frame, _body: () => Promise<T> | T): Promise<T> {
    return todo('inner');
  }

  /** Calls one after the other. What one throws is told to `report`. */
  protected override tell(_callbacks: readonly Callback[]): Promise<void> {
    return todo('tell');
  }
}

async function todo(name: string): Promise<never> {
  throw new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}
