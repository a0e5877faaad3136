import { inspect } from 'node:util';
import { type Client, CreateMode, createClient, type Event, Exception, type Stat, State } from 'node-zookeeper-client';
import {
  ConnectionLossError,
  ConnectTimeoutError,
  InvalidArgumentError,
  RefusedError,
  SessionClosedError,
  SessionExpiredError,
  SessionSuspendedError,
} from './errors.ts';
import {
  assertConnectOptions,
  assertConnectString,
  assertData,
  type ConnectOptions,
  unlessAborted,
} from './options.ts';
import { closeClient, dropConnection, forgetHalfReply, guardReplies } from './wire.ts';

/** A node, as ZooKeeper had it when it was asked. */
export interface ZNode {
  readonly data: string;
  /** The number of the transaction that made it (czxid): grows with each, through restarts and elections. */
  readonly created: bigint;
  /** How often its data has changed. */
  readonly version: number;
}

/** `suspended`: not connected, or nothing heard for too long; the session may be alive. `over`: expired or closed. */
export type SessionState = 'connected' | 'suspended' | 'over';

const LEAST_ATTEMPT_MS = 250;
const CLOSE_MS = 500;

/**
 * One session with ZooKeeper, which outlives its connections: the client reconnects by itself, to whichever server it
 * finds. A session ends once, by `close()` or because ZooKeeper heard nothing of us for `timeoutMs`, and never comes back.
 *
 * node-zookeeper-client waits without end for a server that is silent, and says DISCONNECTED only when the socket closes.
 * So this class asks a question of its own, six times a session timeout, and counts from when the last one that was
 * answered had left: ZooKeeper keeps the session for `timeoutMs` from then at least.
 */
export class Session implements AsyncDisposable {
  readonly #client: Client;
  #timeoutMs: number;
  #connected = false;
  /** When the last question left that was answered. */
  #provenAt = Number.NEGATIVE_INFINITY;
  /** Since when the present connection has been tried. */
  #triedAt = performance.now();
  #end: Error | undefined;
  #closed: Promise<void> | undefined;
  #up = hushed();
  readonly #pending = new Set<(error: Error) => void>();
  readonly #troubled = new Set<(error: Error) => void>();
  readonly #watches = new Map<string, { readonly told: Set<() => void>; readonly tell: (event: Event) => void }>();
  #timer: NodeJS.Timeout;

  /**
   * @param connectString `host:port,host:port`, a path at its end if all is to lie under it: that one must be there.
   * @throws InvalidArgumentError, ConnectTimeoutError, or the reason of `options.signal`.
   */
  static async connect(connectString: string, options: ConnectOptions = {}): Promise<Session> {
    assertConnectString(connectString);
    assertConnectOptions(options);
    const { sessionTimeoutMs = 10_000, timeoutMs = 10_000, signal } = options;
    signal?.throwIfAborted();
    // retries: 0, since a create that is simply sent again may make two nodes. spinDelay: how long, at most, it pauses when
    // no server would have it.
    const spinDelay = Math.min(1_000, sessionTimeoutMs / 10);
    const client = createClient(connectString, { sessionTimeout: sessionTimeoutMs, retries: 0, spinDelay });
    const session = new this(client, sessionTimeoutMs);
    const given = new AbortController();
    const leave = () => given.abort(signal?.reason);
    signal?.addEventListener('abort', leave);
    const patience = setTimeout(() => {
      given.abort(new ConnectTimeoutError(`${connectString}: no session within ${timeoutMs} ms. Does it run there?`));
    }, timeoutMs);
    try {
      await unlessAborted(session.connected(), given.signal);
      return session;
    } catch (error) {
      void session.close();
      throw error;
    } finally {
      clearTimeout(patience);
      signal?.removeEventListener('abort', leave);
    }
  }

  /** For `connect` alone. */
  protected constructor(client: Client, sessionTimeoutMs: number) {
    this.#client = client;
    this.#timeoutMs = sessionTimeoutMs;
    client.on('state', (state: State) => this.#onState(state));
    this.#timer = setInterval(() => this.#beat(), Math.max(20, sessionTimeoutMs / 6));
    guardReplies(client, (error) => {
      const code = Number(/-?\d+/.exec(error instanceof Error ? error.message : '')?.[0] ?? Number.NaN);
      for (const fail of this.#pending) fail(new RefusedError('answer in codes that the client knows', code, error));
      this.#pending.clear();
    });
    client.connect();
  }

  /** Milliseconds of silence after which ZooKeeper ends the session: what it granted. */
  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  get state(): SessionState {
    if (this.#end) return 'over';
    // A process that stood still has not had its timers yet.
    if (this.#connected && performance.now() - this.#provenAt >= this.patienceMs) this.#suspend('it was silent');
    return this.#connected ? 'connected' : 'suspended';
  }

  /** Resolves as soon as there is a connection; @throws SessionExpiredError, SessionClosedError once there will be none. */
  connected(): Promise<void> {
    return this.state === 'connected' ? Promise.resolve() : this.#up.promise;
  }

  /** Calls `tell` when the session is suspended or over, once; returns how to call that off. */
  onTrouble(tell: (error: Error) => void): () => void {
    this.#troubled.add(tell);
    return () => this.#troubled.delete(tell);
  }

  /**
   * Makes a node, and returns its path, with the number that ZooKeeper appended if it is `sequential`. Undefined: there is
   * one already (`exists`), or nothing to put it under (`no parent`).
   *
   * This and whatever else asks @throws InvalidArgumentError, ConnectionLossError, RefusedError, SessionExpiredError or
   * SessionClosedError.
   */
  async create(path: string, data: string, mode: keyof typeof CreateMode): Promise<string | 'exists' | 'no parent'> {
    assertData('The data', data);
    if (!Object.hasOwn(CreateMode, mode)) throw new InvalidArgumentError(`There is no mode ${inspect(mode)}.`);
    return this.#ask<string>(
      `create ${path}`,
      (done) => this.#client.create(path, Buffer.from(data), CreateMode[mode], done),
      new Map([
        [Exception.NODE_EXISTS, 'exists'],
        [Exception.NO_NODE, 'no parent'],
      ]),
    );
  }

  /** Makes `path` and what is above it, persistent, where it is missing. */
  async ensure(path: string): Promise<void> {
    if (path === '')
      throw new RefusedError('create anything', Exception.NO_NODE, 'the root of this session is missing');
    if ((await this.create(path, '', 'PERSISTENT')) !== 'no parent') return;
    // From below: of a node that is there a server says so only to who may create it.
    await this.ensure(path.slice(0, path.lastIndexOf('/')));
    await this.create(path, '', 'PERSISTENT');
  }

  /**
   * The node, or undefined. `onChange` is called once: at its next change or its deletion. A session that has ended tells
   * nobody. No watch is left on a node that is not there.
   */
  async get(path: string, onChange?: () => void): Promise<ZNode | undefined> {
    let there = false;
    try {
      const found = await this.#ask<{ data: Buffer | undefined; stat: Stat } | undefined>(
        `read ${path}`,
        (done) => {
          const answer = (error: Error | Exception | null, data: Buffer | undefined, stat: Stat) =>
            done(error, { data, stat });
          if (!onChange) return this.#client.getData(path, answer);
          this.#client.getData(path, this.#watch(path, onChange), answer);
        },
        new Map([[Exception.NO_NODE, undefined]]),
      );
      if (!found) return undefined;
      there = true;
      const { data, stat } = found;
      return { data: data?.toString() ?? '', created: stat.czxid.readBigInt64BE(), version: stat.version };
    } finally {
      if (!there && onChange) {
        this.ignore(path, onChange);
        if (this.#watches.get(path)?.told.size === 0) this.#watches.delete(path);
      }
    }
  }

  /** `onChange`, given to `get`, is called no more. */
  ignore(path: string, onChange: () => void): void {
    this.#watches.get(path)?.told.delete(onChange);
  }

  /** The names under `path`, in no order; none if it is not there. `onChange` is called once, when they change. */
  async children(path: string, onChange?: () => void): Promise<readonly string[]> {
    return this.#ask<readonly string[]>(
      `list ${path}`,
      (done) => {
        if (!onChange) return this.#client.getChildren(path, done);
        this.#client.getChildren(path, () => tellEach([onChange]), done);
      },
      new Map([[Exception.NO_NODE, []]]),
    );
  }

  /** Sets the data if it still has that `version`; else false. */
  async set(path: string, data: string, version: number): Promise<boolean> {
    assertData('The data', data);
    return this.#ask<boolean>(
      `write ${path}`,
      (done) => this.#client.setData(path, Buffer.from(data), version, (error) => done(error, true)),
      new Map([
        [Exception.BAD_VERSION, false],
        [Exception.NO_NODE, false],
      ]),
    );
  }

  /** Deletes a node; false if there was none. */
  async remove(path: string): Promise<boolean> {
    return this.#ask<boolean>(
      `delete ${path}`,
      (done) => this.#client.remove(path, (error) => done(error, true)),
      new Map([[Exception.NO_NODE, false]]),
    );
  }

  /**
   * Ends the session: its nodes are deleted at once if ZooKeeper can be told, and by its timeout if not. Ends what waits
   * here with a SessionClosedError. Takes two seconds at most, never rejects, and leaves nothing that keeps a process alive.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const graceMs = this.#connected ? CLOSE_MS : 0;
    this.#finish(new SessionClosedError('This session was closed.'));
    await closeClient(this.#client, graceMs);
  }

  /** How long it may be silent until it's suspect: two thirds, as in ZooKeeper's own client. */
  protected get patienceMs(): number {
    return (this.#timeoutMs * 2) / 3;
  }

  #onState(state: State): void {
    if (this.#end) return;
    this.#triedAt = performance.now();
    if (state === State.SYNC_CONNECTED) {
      this.#timeoutMs = this.#client.getSessionTimeout();
      clearInterval(this.#timer);
      this.#timer = setInterval(() => this.#beat(), this.#timeoutMs / 6);
      this.#beat();
    } else if (state === State.EXPIRED || state === State.AUTH_FAILED) {
      this.#finish(new SessionExpiredError('ZooKeeper has ended this session; its nodes are gone. Connect anew.'));
      dropConnection(this.#client);
    } else if (state === State.DISCONNECTED) {
      forgetHalfReply(this.#client);
      this.#suspend('the connection broke');
    }
  }

  /** The question that proves that the session is alive, and the alarm when it is not answered. */
  #beat(): void {
    const now = performance.now();
    const alive = this.state === 'connected';
    const since = Math.max(this.#triedAt, this.#provenAt);
    // Whoever has a connection that says nothing tries the next server while the session may still be saved.
    if (!alive && now - since > Math.max(LEAST_ATTEMPT_MS, this.#timeoutMs / 3)) {
      this.#triedAt = now;
      dropConnection(this.#client);
    }
    if (this.#client.getState() !== State.SYNC_CONNECTED) return;
    this.#client.exists('/zookeeper', (error) => {
      if (!error) this.#prove(now);
    });
  }

  #prove(sentAt: number): void {
    this.#provenAt = Math.max(this.#provenAt, sentAt);
    if (this.#end || this.#connected || performance.now() - this.#provenAt >= this.patienceMs) return;
    this.#connected = true;
    this.#up.resolve();
  }

  #suspend(why: string): void {
    if (!this.#connected) return;
    this.#connected = false;
    this.#up = hushed();
    this.#tell(
      new SessionSuspendedError(`ZooKeeper is not to be trusted now: ${why}. What the session holds may be lost.`),
    );
  }

  #finish(end: Error): void {
    if (this.#end) return;
    this.#end = end;
    this.#connected = false;
    clearInterval(this.#timer);
    this.#up.resolve();
    this.#up = hushed();
    this.#up.reject(end);
    this.#tell(end);
    for (const fail of this.#pending) fail(end);
    this.#pending.clear();
    this.#watches.clear();
  }

  #tell(error: Error): void {
    const troubled = [...this.#troubled];
    this.#troubled.clear();
    tellEach(troubled.map((tell) => () => tell(error)));
  }

  /** One listener a path, however many ask: the client keeps a list of them until the node changes. */
  #watch(path: string, onChange: () => void): (event: Event) => void {
    const known = this.#watches.get(path);
    if (known) {
      known.told.add(onChange);
      return known.tell;
    }
    const told = new Set([onChange]);
    const tell = () => {
      this.#watches.delete(path);
      tellEach(told);
    };
    this.#watches.set(path, { told, tell });
    return tell;
  }

  /** Asks once. Some refusals are answers, by their code. */
  async #ask<T>(
    what: string,
    send: (done: (error: Error | Exception | null, answer: T) => void) => void,
    answers: ReadonlyMap<number, T>,
  ): Promise<T> {
    if (this.#end) throw this.#end;
    // The client would keep the request for a later connection, and forget it if the session expires.
    if (this.state !== 'connected') throw new ConnectionLossError(`Cannot ${what}: there is no connection.`);
    return new Promise<T>((resolve, reject) => {
      const settle = (end: () => void) => {
        this.#pending.delete(reject);
        end();
      };
      this.#pending.add(reject);
      const sentAt = performance.now();
      const done = (error: Error | Exception | null, answer: T) => {
        const code = error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;
        if (error && code === undefined) return settle(() => reject(error));
        const lost = code === Exception.CONNECTION_LOSS || code === Exception.SESSION_EXPIRED;
        if (!lost) this.#prove(sentAt);
        if (lost) settle(() => reject(new ConnectionLossError(`The connection broke on the way to ${what}.`)));
        else if (code === undefined) settle(() => resolve(answer));
        else if (answers.has(code)) settle(() => resolve(answers.get(code) as T));
        else settle(() => reject(new RefusedError(what, code, error)));
      };
      try {
        send(done);
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : inspect(cause);
        settle(() => reject(new InvalidArgumentError(`Cannot ${what}: ${why}`, { cause })));
      }
    });
  }
}

/** Who throws keeps nobody else from hearing of it: his error is the process's, as with an event. */
function tellEach(hearers: Iterable<() => void>): void {
  for (const hear of hearers) {
    try {
      hear();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** A promise whose rejection nobody has to hear. */
function hushed(): PromiseWithResolvers<void> {
  const it = Promise.withResolvers<void>();
  it.promise.catch(() => {});
  return it;
}
