import { randomUUID } from 'node:crypto';
import { ConnectionLossError, LockLostError, LockTimeoutError } from './errors.ts';
import { HeldLock, type Lock } from './lock.ts';
import { assertId, assertLockOptions, assertPath, type LockOptions, unlessAborted } from './options.ts';
import { blockerOf, type Contender, queueOf } from './queue.ts';
import type { Session } from './session.ts';

/** The leader of an election. */
export interface Leader {
  readonly id: string;
  /** The fence of its term. */
  readonly fence: bigint;
}

/** What one call of `lock` wants. */
export interface Wish {
  readonly path: string;
  readonly mode: 'read' | 'write';
  readonly data: string;
  /** Aborts when nobody waits any more. */
  readonly over: AbortSignal;
  /** How many stood before us when we looked last. */
  ahead: number | undefined;
  /** The name of our node, once it is known. */
  name: string | undefined;
  readonly atOnce: boolean;
}

/**
 * Locks of one session: each a queue of ephemeral nodes under the lock's path, numbered by ZooKeeper.
 * Source: ZooKeeper's recipes, https://zookeeper.apache.org/doc/current/recipes.html#sc_recipes_Locks
 */
export class Locks {
  protected readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /**
   * Queues for the lock at `path`, and resolves when it is ours. The path is made where it is missing, and stays.
   *
   * @throws InvalidArgumentError on a bad path or option.
   * @throws LockTimeoutError after `timeoutMs`; the reason of `options.signal` when it aborts.
   * @throws SessionExpiredError or SessionClosedError when the session ends meanwhile; LockLostError when somebody else
   *   deleted our place in the queue; RefusedError when ZooKeeper would not have it: at `path` we need the rights to
   *   create, read and delete.
   */
  async lock(path: string, options: LockOptions = {}): Promise<Lock> {
    return this.#acquire(path, '', options);
  }

  /**
   * Stands for election at `path` as `id`, and resolves when it leads; `release()` is to resign.
   * @throws what `lock` throws.
   */
  async elect(path: string, id: string, options: Omit<LockOptions, 'mode'> = {}): Promise<Lock> {
    assertId(id);
    return this.#acquire(path, id, { ...options, mode: 'write' });
  }

  /** Who leads at `path`, as far as this session's server knows; undefined if nobody stands. @throws what `lock` throws, or ConnectionLossError */
  async leader(path: string): Promise<Leader | undefined> {
    assertPath(path);
    for (;;) {
      const [first] = this.queue(await this.session.children(path));
      if (!first) return undefined;
      const node = await this.session.get(`${path}/${first.name}`);
      if (node) return { id: node.data, fence: node.created };
    }
  }

  async #acquire(path: string, data: string, options: LockOptions): Promise<Lock> {
    assertPath(path);
    assertLockOptions(options);
    const { mode = 'write', timeoutMs = Number.POSITIVE_INFINITY, signal } = options;
    signal?.throwIfAborted();
    const given = new AbortController();
    const over = given.signal;
    const wish: Wish = { path, mode, data, over, ahead: undefined, name: undefined, atOnce: timeoutMs === 0 };
    const giveUp = () => given.abort(new LockTimeoutError(path, timeoutMs, wish.ahead));
    // Even who won't wait for others has to wait for ZooKeeper.
    const limit = wish.atOnce ? this.session.timeoutMs : timeoutMs;
    const patience = Number.isFinite(limit) ? setTimeout(giveUp, limit) : undefined;
    const leave = () => given.abort(signal?.reason);
    signal?.addEventListener('abort', leave);
    const guid = randomUUID();
    const queued = this.#queueUp(guid, wish);
    try {
      return await unlessAborted(queued, over);
    } catch (error) {
      // Who is still under way stops at its next step, and only then knows what there is to leave.
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

  /** From the end of the queue to its head. */
  async #queueUp(guid: string, wish: Wish): Promise<Lock> {
    const { path, over } = wish;
    await this.enter(guid, wish);
    for (;;) {
      try {
        over.throwIfAborted();
        const queue = this.queue(await this.session.children(path));
        const own = queue.find(({ name }) => name.startsWith(guid));
        if (!own) throw new LockLostError(`${path}: somebody else has deleted our place in the queue.`);
        wish.ahead = queue.indexOf(own);
        const blocker = this.blocker(queue, own);
        if (!blocker) {
          const lock = await this.grant(path, own, guid);
          if (lock) return lock;
        } else {
          if (wish.atOnce) throw new LockTimeoutError(path, 0, wish.ahead);
          await this.pass(path, blocker, over);
        }
      } catch (error) {
        if (!(error instanceof ConnectionLossError)) throw error;
        await unlessAborted(this.session.connected(), over);
      }
    }
  }

  // The steps of the recipe, each a method of its own, so that a variant (see pitfalls/) changes just one.

  /** Makes our node at the end of the queue, once, whatever becomes of the connection. */
  protected async enter(guid: string, wish: Wish): Promise<void> {
    const { path, mode, data, over } = wish;
    for (;;) {
      try {
        over.throwIfAborted();
        const made = await this.session.create(`${path}/${guid}-${mode}-`, data, 'EPHEMERAL_SEQUENTIAL');
        if (made !== 'no parent') {
          wish.name = made.slice(path.length + 1);
          return;
        }
        await this.session.ensure(path);
      } catch (error) {
        if (!(error instanceof ConnectionLossError)) throw error;
        // It may have been made, its answer lost: only the name can tell, since the number is unknown.
        if (await this.persist(() => this.find(path, guid), over)) return;
      }
    }
  }

  /** Who stands in the queue, the first one first. */
  protected queue(names: readonly string[]): readonly Contender[] {
    return queueOf(names);
  }

  /** The one whom `own` waits for; undefined if it's its turn. */
  protected blocker(queue: readonly Contender[], own: Contender): Contender | undefined {
    return blockerOf(queue, own);
  }

  /**
   * Waits until the node before us changes or goes. It alone is watched: a release wakes one of those who wait. Whether it
   * is our turn then, the queue says: the one before us may have given up.
   */
  protected async pass(path: string, blocker: Contender, over: AbortSignal): Promise<void> {
    const changed = Promise.withResolvers<void>();
    const callOff = this.session.onTrouble(() => changed.reject(new ConnectionLossError('Look again.')));
    changed.promise.catch(() => {});
    try {
      const there = await this.session.get(`${path}/${blocker.name}`, changed.resolve);
      if (there) await unlessAborted(changed.promise, over);
    } finally {
      callOff();
      this.session.ignore(`${path}/${blocker.name}`, changed.resolve);
    }
  }

  /** The lock, if our node is still there and the session is in good health. */
  protected async grant(path: string, own: Contender, guid: string): Promise<Lock | undefined> {
    const name = `${path}/${own.name}`;
    const node = await this.session.get(name);
    if (!node || this.session.state !== 'connected') return undefined;
    return new HeldLock(this.session, name, node.created, () => this.leave(path, guid, own.name));
  }

  /**
   * Deletes our node, through as many connections as it takes: ephemeral means gone with the session, and the session may
   * live for days. @throws SessionExpiredError or SessionClosedError: then it's gone, or goes, without us.
   */
  protected async leave(path: string, guid: string, name?: string): Promise<boolean> {
    return this.persist(async () => {
      const names = name === undefined ? await this.find(path, guid) : [name];
      let removed = false;
      for (const each of names ?? []) removed = (await this.session.remove(`${path}/${each}`)) || removed;
      return removed;
    });
  }

  /** Our nodes under `path`, or undefined. */
  protected async find(path: string, guid: string): Promise<readonly string[] | undefined> {
    // To delete what isn't there changes nothing, but goes through the leader: the server that we have come to then knows
    // all that came before, our lost request too. (Others send `sync` for that; this client has none.)
    await this.session.remove(`${path}/${guid}`);
    const names = (await this.session.children(path)).filter((name) => name.startsWith(guid));
    return names.length > 0 ? names : undefined;
  }

  /** `attempt`, on the next connection if one broke, until the session ends or `over` aborts. */
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
}
