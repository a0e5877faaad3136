import { randomUUID } from 'node:crypto';
import { ConnectionLossError, ForeignDataError, LockTimeoutError } from '../src/errors.ts';
import type { Contender, Fenced, Leader, Lock, LockOptions, ReleaseOutcome, Session } from '../src/index.ts';
import { assertData, assertFence, assertId, assertLockOptions, assertPath, unlessAborted } from '../src/options.ts';

// What is not the idea is given: the session with ZooKeeper, arguments, time limits, errors. The lock is yours. `h` in
// `pnpm lab learn zookeeper-lock` gives a hint. Of the session (src/session.ts) you need:
//
// - `create(path, data, 'EPHEMERAL_SEQUENTIAL')`: the path of the new node, with its number, or 'no parent';
// - `ensure(path)`: makes the path, as far as it's missing;
// - `children(path, onChange?)`: the names under it, none if there's no such path;
// - `get(path, onChange?)`: `{ data, created, version }`, `created` is the czxid; undefined if there's no such node;
// - `remove(path)`: false if there was nothing to delete;
// - `connected()`: resolves when it's connected; `onTrouble(tell)`: calls `tell(error)` when it's suspended or over.
//
// `onChange` is called once at most, and never after the session's end. Each request throws a ConnectionLossError when its
// answer is lost.
// Begin with `enter`, `queueOf`, `queueUp`, `grant` and `leave`: the first law needs them all, in their simplest form. An
// error that you throw is exported by src/errors.ts: add it to the import above. src/locks.ts, src/queue.ts and
// src/lock.ts hold solutions.
export type {
  ConnectOptions,
  Contender,
  Fenced,
  Leader,
  Lock,
  LockOptions,
  ReleaseOutcome,
  SessionState,
  ZNode,
} from '../src/index.ts';
export {
  ConnectionLossError,
  ConnectTimeoutError,
  ForeignDataError,
  InvalidArgumentError,
  LockLostError,
  LockTimeoutError,
  RefusedError,
  Session,
  SessionClosedError,
  SessionExpiredError,
  SessionSuspendedError,
  ZooKeeperLockError,
} from '../src/index.ts';

/** What one call of `lock` wants. */
interface Wish {
  readonly path: string;
  readonly mode: 'read' | 'write';
  /** What our node says: the id of who stands for election, else nothing. */
  readonly data: string;
  /** Aborts when nobody waits any more: after the time limit, or when the caller leaves. */
  readonly over: AbortSignal;
  /** To be set by you after each look at the queue: how many stand before us. */
  ahead: number | undefined;
  /** To be set by you, once it is known: how our node is called. */
  name: string | undefined;
  /** `timeoutMs` is 0: throw a `LockTimeoutError(path, 0, ahead)` instead of waiting for anybody. */
  readonly atOnce: boolean;
}

/**
 * Who stands in the queue, the first one first, of the names under the lock's path: a Contender is `{ name, sequence, mode }`.
 * A name ends with `-read-` or `-write-` and the number that ZooKeeper appended (ten digits). Names without a number are left
 * out; one of a foreign library, without `-read-`, is a writer's.
 */
export function queueOf(_names: readonly string[]): readonly Contender[] {
  throw new Error('queueOf is not written yet: its comment in attempt/index.ts is the task.');
}

/** Locks of one session: each a queue of nodes under the lock's path. */
export class Locks {
  protected readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /** Given. */
  async lock(path: string, options: LockOptions = {}): Promise<Lock> {
    return this.#acquire(path, '', options);
  }

  /** Given: to lead is to hold a lock, under an id that everybody can read. */
  async elect(path: string, id: string, options: Omit<LockOptions, 'mode'> = {}): Promise<Lock> {
    assertId(id);
    return this.#acquire(path, id, { ...options, mode: 'write' });
  }

  /** Given. */
  async leader(path: string): Promise<Leader | undefined> {
    assertPath(path);
    for (;;) {
      const [first] = queueOf(await this.session.children(path));
      if (!first) return undefined;
      const node = await this.session.get(`${path}/${first.name}`);
      if (node) return { id: node.data, fence: node.created };
    }
  }

  /** Given: arguments, the time limit, the caller's signal, and that whoever fails leaves the queue. */
  async #acquire(path: string, data: string, options: LockOptions): Promise<Lock> {
    assertPath(path);
    assertLockOptions(options);
    const { mode = 'write', timeoutMs = Number.POSITIVE_INFINITY, signal } = options;
    signal?.throwIfAborted();
    const given = new AbortController();
    const wish: Wish = {
      path,
      mode,
      data,
      over: given.signal,
      ahead: undefined,
      name: undefined,
      atOnce: timeoutMs === 0,
    };
    const limit = wish.atOnce ? this.session.timeoutMs : timeoutMs;
    const giveUp = () => given.abort(new LockTimeoutError(path, timeoutMs, wish.ahead));
    const patience = Number.isFinite(limit) ? setTimeout(giveUp, limit) : undefined;
    const leave = () => given.abort(signal?.reason);
    signal?.addEventListener('abort', leave);
    const guid = randomUUID();
    const queued = this.queueUp(guid, wish);
    try {
      return await unlessAborted(queued, given.signal);
    } catch (error) {
      given.abort(error);
      const left = queued.then(
        (lock) => lock.release(),
        () => this.leave(path, guid, wish.name),
      );
      left.catch(() => {});
      throw error;
    } finally {
      clearTimeout(patience);
      signal?.removeEventListener('abort', leave);
    }
  }

  /**
   * Given: `attempt`, and again on the next connection for as long as connections break (ConnectionLossError), until the
   * session ends or `over` aborts. What is attempted must bear being done twice.
   */
  protected async persist<T>(attempt: () => Promise<T>, over?: AbortSignal): Promise<T> {
    for (;;) {
      try {
        over?.throwIfAborted();
        return await attempt();
      } catch (error) {
        if (!(error instanceof ConnectionLossError)) throw error;
        await (over ? unlessAborted(this.session.connected(), over) : this.session.connected());
      }
    }
  }

  /**
   * From the end of the queue to its head: enters; then looks who is there, and waits, until it's our turn.
   * A ConnectionLossError on the way is no reason to give up: wait for `this.session.connected()`, and look again.
   * @throws LockLostError when our node is not in the queue.
   */
  protected queueUp(_guid: string, _wish: Wish): Promise<Lock> {
    return todo('queueUp');
  }

  /** Makes our node, `<path>/<guid>-<mode>-` and a number; `session.ensure` makes the path where it's missing. */
  protected enter(_guid: string, _wish: Wish): Promise<void> {
    return todo('enter');
  }

  /** The one whom `own` waits for; undefined if it's its turn. */
  protected blocker(_queue: readonly Contender[], _own: Contender): Contender | undefined {
    throw new Error('blocker is not written yet: its comment in attempt/index.ts is the task.');
  }

  /** Waits until there is a reason to look at the queue again; rejects when `over` aborts (see `unlessAborted`). */
  protected pass(_path: string, _blocker: Contender, _over: AbortSignal): Promise<void> {
    return todo('pass');
  }

  /** Given: the lock that our node `<path>/<name>` is. */
  protected held(path: string, name: string, fence: bigint, guid: string): Lock {
    return new HeldLock(this.session, `${path}/${name}`, fence, () => this.leave(path, guid));
  }

  /** The lock, made by `this.held(…)`; undefined if our node is gone. */
  protected grant(_path: string, _own: Contender, _guid: string): Promise<Lock | undefined> {
    return todo('grant');
  }

  /** Deletes our nodes, all those under `path` whose names begin with `guid` (or the one called `name`); false if there are none. */
  protected leave(_path: string, _guid: string, _name?: string): Promise<boolean> {
    return todo('leave');
  }
}

/** The lock, while we have it. */
class HeldLock implements Lock {
  readonly node: string;
  readonly fence: bigint;
  protected readonly lost = new AbortController();
  protected readonly session: Session;
  protected readonly leave: () => Promise<boolean>;
  #released: Promise<ReleaseOutcome> | undefined;

  constructor(session: Session, node: string, fence: bigint, leave: () => Promise<boolean>) {
    this.session = session;
    this.node = node;
    this.fence = fence;
    this.leave = leave;
    this.watchOver();
  }

  /** Given. */
  get signal(): AbortSignal {
    // A process that stood still has not had its timers yet: to ask for the state is to look at the clock.
    void this.session.state;
    return this.lost.signal;
  }

  /** Has `this.lost` abort, with the error that says why, when the lock may be lost. Its flaw: it does nothing. */
  protected watchOver(): void {}

  /** Given. */
  release(): Promise<ReleaseOutcome> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<ReleaseOutcome> {
    const broken = Promise.withResolvers<ReleaseOutcome>();
    const end = () => broken.resolve(this.session.state === 'over' ? 'lost' : 'unconfirmed');
    const callOff = this.session.onTrouble(end);
    if (this.session.state !== 'connected') end();
    const left = this.leave().then((was) => (was ? 'released' : 'lost'));
    const outcome = await Promise.race([broken.promise, left]).catch(() => 'unconfirmed' as const);
    callOff();
    return outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** A store that refuses who comes too late. */
export class FencedStore {
  protected readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /** Given. */
  async read(path: string): Promise<Fenced | undefined> {
    assertPath(path);
    const node = await this.session.get(path);
    return node && parse(path, node.data);
  }

  /** Given: writes only if nobody has written since it looked, and looks again if somebody has. */
  async write(path: string, fence: bigint, value: string): Promise<'ok' | 'stale'> {
    assertPath(path);
    assertData('A value', value);
    assertFence(fence);
    for (;;) {
      const node = await this.session.get(path);
      if (node && !this.admits(parse(path, node.data).fence, fence)) return 'stale';
      if (node && (await this.session.set(path, `${fence} ${value}`, node.version))) return 'ok';
      if (node) continue;
      const made = await this.session.create(path, `${fence} ${value}`, 'PERSISTENT');
      if (made === 'no parent') await this.session.ensure(path.slice(0, path.lastIndexOf('/')));
      else if (made !== 'exists') return 'ok';
    }
  }

  /** Whether a write under `fence` may follow one under `seen`. Its flaw: any may. */
  protected admits(_seen: bigint, _fence: bigint): boolean {
    return true;
  }
}

function parse(path: string, data: string): Fenced {
  const [, fence, value] = /^(\d{1,19}) (.*)$/s.exec(data) ?? [];
  if (fence === undefined || value === undefined) throw new ForeignDataError(`${path} has data of somebody else.`);
  return { fence: BigInt(fence), value };
}

async function todo(method: string): Promise<never> {
  throw new Error(`${method} is not written yet: its comment in attempt/index.ts is the task.`);
}
