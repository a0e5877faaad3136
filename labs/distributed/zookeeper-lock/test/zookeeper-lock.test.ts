import { getEventListeners, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { startZooKeeper } from '@shared/services';
import { describeWith, History, outcome, random, until } from '@shared/testkit';
import { Exception, Permission } from 'node-zookeeper-client';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  ConnectionLossError,
  ConnectTimeoutError,
  FencedStore,
  ForeignDataError,
  InvalidArgumentError,
  type Lock,
  LockLostError,
  Locks,
  LockTimeoutError,
  queueOf,
  RefusedError,
  Session,
  SessionClosedError,
  SessionExpiredError,
  SessionSuspendedError,
} from '#lab';
import { halvingNetwork, LONG, SHORT, stage } from './support.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
/** Beyond what any law waits for. */
const PATIENT = { timeoutMs: 30_000 };

await describeWith('zookeeper-lock', { zk: () => startZooKeeper() }, ({ zk }) => {
  const { session, fresh, behindNetwork, permit, queue, watched, wakeUps } = stage(zk);
  const locks = async () => new Locks(await session());
  /** Nobody's fault if it fails, until somebody looks. */
  const hushed = <T>(promise: Promise<T>): Promise<T> => {
    promise.catch(() => {});
    return promise;
  };

  // ── the core ──────────────────────────────────────────────────────────────────────────────────────────────────────

  test('who is done frees the lock at once, and who dies frees it with his session', async () => {
    const path = fresh();
    const dying = await behindNetwork(SHORT);
    const first = await (await locks()).lock(path);
    const second = hushed(new Locks(dying.session).lock(path));
    await queue(path, 2);
    expect(await first.release()).toBe('released');
    const { value: held, error } = await outcome(second);
    expect(held, `the lock of the next one, after the release; ${error}`).toBeDefined();
    dying.network.partition();
    const third = await outcome((await locks()).lock(path), 2_500);
    expect(third.value, 'the lock of the next one, after a death').toBeDefined();
  });

  test('the lock goes from one to the next in the order in which they came', async () => {
    const path = fresh();
    const clients = await Promise.all([locks(), locks(), locks()]);
    const history = new History<string>();
    const holding: Lock[] = [];
    const granted: number[] = [];
    for (let place = 0; place < 9; place++) {
      clients[place % 3]?.lock(path).then(
        (lock) => {
          history.record(`${place} has it`);
          granted.push(place);
          holding.push(lock);
        },
        () => {},
      );
      await queue(path, place + 1);
    }
    for (let turn = 0; turn < 9; turn++) {
      const lock = await until(() => holding.shift(), { timeoutMs: 2_000, what: `holder number ${turn}` });
      expect(holding, 'others who hold it meanwhile').toEqual([]);
      await lock.release();
    }
    expect(granted, 'who had it, in order').toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('a release wakes one of those who wait', async () => {
    const path = fresh();
    const held = await (await locks()).lock(path);
    const clients = await Promise.all(Array.from({ length: 8 }, locks));
    const waiting: Promise<Lock>[] = [];
    for (const client of clients) {
      waiting.push(hushed(client.lock(path)));
      await queue(path, waiting.length + 1);
    }
    await watched(waiting.length);
    const before = await wakeUps();
    await held.release();
    const next = await Promise.race(waiting);
    await next.release();
    const after = await Promise.race(waiting.slice(1));
    expect((await wakeUps()) - before, 'watches that fired at two releases, of eight who wait').toBe(2);
    await after.release();
  });

  test('who waits behind one that gave up goes on waiting', async () => {
    const path = fresh();
    const held = await (await locks()).lock(path);
    const leaving = new AbortController();
    const middle = outcome((await locks()).lock(path, { signal: leaving.signal }));
    await queue(path, 2);
    let inside = false;
    const last = hushed(
      (await locks()).lock(path).finally(() => {
        inside = true;
      }),
    );
    await queue(path, 3);
    await watched(2);
    leaving.abort(new Error('the customer went home'));
    await middle;
    await queue(path, 2);
    // Long enough for whoever takes the deletion for an invitation.
    await (await session()).children(path);
    await delay(60);
    expect(inside, 'the last one is inside while the first one still holds the lock').toBe(false);
    await held.release();
    expect((await outcome(last)).value, 'the lock of the last one, after the release').toBeDefined();
  });

  test('of a request whose answer was lost one place in the queue is left, and it is known', async () => {
    const path = fresh();
    await (await session()).ensure(path);
    const client = await behindNetwork();
    const create = client.session.create.bind(client.session);
    vi.spyOn(client.session, 'create').mockImplementationOnce((...node) => {
      client.network.partition('down');
      return create(...node);
    });
    const asking = outcome(new Locks(client.session).lock(path), 5_000);
    await queue(path, 1);
    client.cut();
    const { value: lock, error } = await asking;
    expect(lock, `the lock, after the connection was lost between create and its answer; ${error}`).toBeDefined();
    expect(await queue(path, 1), 'the places in the queue').toEqual([lock?.node.slice(path.length + 1)]);
    await lock?.release();
    await queue(path, 0);
  });

  test('the holder is told that ZooKeeper is silent before another one has the lock', async () => {
    const path = fresh();
    const cutOff = await behindNetwork(SHORT);
    const history = new History<string>();
    const held = await new Locks(cutOff.session).lock(path);
    const { signal } = held;
    signal.addEventListener('abort', () => history.record(`told: ${signal.reason.message}`));
    const next = hushed((await locks()).lock(path));
    await queue(path, 2);
    history.record('nothing comes through any more');
    cutOff.network.partition();
    await outcome(next, 4_000);
    history.record('another one has the lock');
    expect(signal.aborted, `the signal of the first one, when another one has the lock\n${history}`).toBe(true);
    expect(signal.reason).toBeInstanceOf(SessionSuspendedError);
  });

  test('who gives up leaves the queue, even if the connection breaks meanwhile', async () => {
    const path = fresh();
    const held = await (await locks()).lock(path);
    const client = await behindNetwork();
    const leaving = new AbortController();
    const asking = outcome(new Locks(client.session).lock(path, { signal: leaving.signal }));
    await queue(path, 2);
    client.network.partition();
    leaving.abort(new Error('enough'));
    expect(String((await asking).error)).toMatch(/enough/);
    await delay(20);
    client.cut();
    await queue(path, 1);
    await held.release();
  });

  test('readers share the lock, and a reader who comes after a waiting writer waits for him', async () => {
    const path = fresh();
    const [a, b, c, d, e] = await Promise.all([locks(), locks(), locks(), locks(), locks()]);
    const read = { mode: 'read', timeoutMs: 2_000 } as const;
    const readers = await Promise.all([a.lock(path, read), b.lock(path, read)]);
    const history = new History<string>();
    const enter = (locks: Locks, who: string, mode: 'read' | 'write') =>
      outcome(
        locks.lock(path, { mode }).finally(() => history.record(`${who} has it`)),
        3_000,
      );
    const writing = enter(c, 'the writer', 'write');
    await queue(path, 3);
    const late = enter(d, 'the late reader', 'read');
    await queue(path, 4);
    const last = enter(e, 'the last writer', 'write');
    await queue(path, 5);
    await readers[0].release();
    await delay(40);
    expect(history.ops, 'who came in beside a reader').toEqual([]);
    await readers[1].release();
    const writer = await writing;
    expect(writer.value, 'the lock of the writer, after the last reader').toBeDefined();
    await delay(20);
    expect(history.ops, 'who came in beside the writer').toEqual(['the writer has it']);
    await writer.value?.release();
    const reader = await late;
    expect(reader.value, `the lock of the late reader, with another writer behind him; ${reader.error}`).toBeDefined();
    await reader.value?.release();
    expect((await last).value, 'the lock of the last writer').toBeDefined();
  });

  test('fences grow from holder to holder, even when the path of the lock is made anew', async () => {
    const path = fresh();
    const admin = await session();
    const client = await locks();
    const fences: bigint[] = [];
    for (let holder = 0; holder < 4; holder++) {
      const lock = await client.lock(path);
      fences.push(lock.fence);
      await lock.release();
      // Who tidies up empty paths makes ZooKeeper count from 0 again.
      if (holder === 1) await admin.remove(path);
    }
    const sorted = [...new Set(fences)].sort((a, b) => (a < b ? -1 : 1));
    expect(fences, 'the fences of four holders').toEqual(sorted);
  });

  test('a store refuses the write of a holder who comes back too late', async () => {
    const path = fresh();
    const store = new FencedStore(await session());
    const late = await behindNetwork(SHORT);
    const history = new History<string>();
    const first = await new Locks(late.session).lock(path);
    history.record(`A has the lock, fence ${first.fence}: ${await store.write(`${path}-value`, first.fence, 'A')}`);
    late.network.partition();
    const { value: second } = await outcome((await locks()).lock(path), 4_000);
    if (!second) throw new Error('B never got the lock.');
    history.record(`B has it, fence ${second.fence}: ${await store.write(`${path}-value`, second.fence, 'B')}`);
    // The write of A comes by another way than its lock: from another process, with nothing in its memory.
    const outcomeOfA = await new FencedStore(await session()).write(`${path}-value`, first.fence, 'A, too late');
    history.record(`A writes, too late: ${outcomeOfA}`);
    expect(outcomeOfA, `${history}`).toBe('stale');
    expect(await store.read(`${path}-value`)).toEqual({ fence: second.fence, value: 'B' });
    expect(await store.write(`${path}-value`, second.fence, 'B again'), 'the newest holder may write again').toBe('ok');
  });

  // ── hardening ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('what no session, lock or write can be made from is refused before anything is sent', async () => {
    const [open, path] = [await session(), fresh()];
    const [it, store] = [new Locks(open), new FencedStore(open)];
    const create = vi.spyOn(open, 'create');
    const bad: [string, () => Promise<unknown>][] = [
      ...[
        '',
        '/',
        'locker',
        '/a/',
        '//a',
        '/a/../b',
        '/a/.',
        '/a\0',
        '/a\u0007',
        '/half\ud83d',
        '/柜😀',
        '/zookeeper/a',
      ].map((text): [string, () => Promise<unknown>] => [`the path ${JSON.stringify(text)}`, () => it.lock(text)]),
      ['a path beyond what a request holds', () => it.lock(`/${'a'.repeat(4_000)}`)],
      // @ts-expect-error: untyped code can hand in anything
      ['a path that is no text', () => it.lock(7)],
      // @ts-expect-error: untyped code can hand in anything
      ['another mode', () => it.lock(path, { mode: 'toString' })],
      ['a negative wait', () => it.lock(path, { timeoutMs: -1 })],
      ['NaN', () => it.lock(path, { timeoutMs: Number.NaN })],
      ['a wait beyond any timer', () => it.lock(path, { timeoutMs: 2 ** 31 })],
      // @ts-expect-error: untyped code can hand in anything
      ['a signal that is none', () => it.lock(path, { signal: {} })],
      ['an empty id', () => it.elect(path, '')],
      ['half an emoji as id', () => it.elect(path, 'a\ud83d')],
      ['more than a node holds', () => store.write(path, 1n, 'a'.repeat(1_000_001))],
      ['a fence beyond 64 bits', () => store.write(path, 2n ** 63n, '')],
      ['a negative fence', () => store.write(path, -1n, '')],
      // @ts-expect-error: untyped code can hand in anything
      ['a fence that is no bigint', () => store.write(path, 1, '')],
      ...['', 'a b', 'a:b', 'a,,b', '[::1]:2181', 'a:2181/b/', 'a:0', `a:70000,${zk.connectString}`].map(
        (text): [string, () => Promise<unknown>] => [
          `the connect string ${JSON.stringify(text)}`,
          () => Session.connect(text),
        ],
      ),
      // @ts-expect-error: untyped code can hand in anything
      ['no options of a session', () => Session.connect(zk.connectString, null)],
      // @ts-expect-error: untyped code can hand in anything
      ["a session's signal that is none", () => Session.connect(zk.connectString, { signal: {} })],
      ['what is no path, to a session', () => open.get('a')],
      ['half an emoji, to a session', () => open.set(path, 'a\ud83d', 0)],
      ['a session of no time', () => Session.connect(zk.connectString, { sessionTimeoutMs: 0 })],
      ['a fraction', () => Session.connect(zk.connectString, { timeoutMs: 1.5 })],
    ];
    for (const [what, call] of bad) {
      const { error } = await outcome(Promise.resolve().then(call));
      expect(error, what).toBeInstanceOf(InvalidArgumentError);
    }
    expect(create.mock.calls).toEqual([]);
  });

  test('who stands in the queue is told by the number alone, through its end and beside other libraries', async () => {
    const names = [
      'ffff-write-0000000010',
      'aaaa-read-0000000011',
      '_c_0000-lock-0000000009',
      'config',
      'order-4000000000',
      '0000000007',
      'bbbb-write-0000000100',
    ];
    expect(queueOf(names).map(({ sequence, mode }) => [sequence, mode])).toEqual([
      [9, 'write'],
      [10, 'write'],
      [11, 'read'],
      [100, 'write'],
    ]);
    // ZooKeeper's counter is Java's int.
    const turning = ['c-write--2147483647', 'a-read--2147483648', 'b-write-2147483647', 'd-write--999999999'];
    expect(queueOf(turning).map(({ name }) => name[0])).toEqual(['b', 'a', 'c', 'd']);
    const path = fresh();
    const admin = await session();
    await admin.ensure(path);
    const foreign = await admin.create(`${path}/_c_1234-lock-`, '', 'EPHEMERAL_SEQUENTIAL');
    const refused = await outcome((await locks()).lock(path, { timeoutMs: 0 }));
    expect(refused.error, "while another library's lock is there").toBeInstanceOf(LockTimeoutError);
    await admin.remove(foreign);
    await queue(path, 0);
    expect(await (await (await locks()).lock(path, { timeoutMs: 0 })).release()).toBe('released');
  });

  test('a change of the node in front neither lets anybody in nor makes him deaf', async () => {
    const path = fresh();
    const held = await (await locks()).lock(path);
    let inside = false;
    const asking = hushed(
      (await locks()).lock(path).finally(() => {
        inside = true;
      }),
    );
    const admin = await session();
    for (let version = 0; version < 3; version++) {
      await queue(path, 2);
      await watched(1);
      expect(await admin.set(held.node, 'a note', version)).toBe(true);
    }
    await watched(1);
    expect(inside, 'who waits is inside after a change of data').toBe(false);
    await held.release();
    expect((await outcome(asking)).value, 'the lock after the release').toBeDefined();
  });

  test('whom ZooKeeper has given up learns it: who holds, who waits, and who asks', async () => {
    const [path, other] = [fresh(), fresh()];
    const late = await behindNetwork(SHORT);
    const it = new Locks(late.session);
    const held = await it.lock(other);
    await using _first = await (await locks()).lock(path);
    const waiting = outcome(it.lock(path), 8_000);
    await queue(path, 2);
    late.network.partition();
    const { value: next } = await outcome((await locks()).lock(other), 4_000);
    expect(next?.fence).toBeGreaterThan(held.fence);
    expect(held.signal.reason).toBeInstanceOf(SessionSuspendedError);
    expect(late.session.state).toBe('suspended');
    late.cut();
    expect((await waiting).error, 'who waits').toBeInstanceOf(SessionExpiredError);
    expect(await held.release(), 'who holds, at his release').toBe('lost');
    expect(late.session.state).toBe('over');
    expect((await outcome(it.lock(path))).error, 'who asks').toBeInstanceOf(SessionExpiredError);
    await queue(path, 1);
    await next?.release();
  });

  test('a lock outlives a broken connection, and says whether it was ours until its release', async () => {
    const path = fresh();
    const client = await behindNetwork();
    const held = await new Locks(client.session).lock(path);
    client.cut();
    await until(() => held.signal.aborted, { what: 'the holder to be told' });
    expect(held.signal.reason).toBeInstanceOf(SessionSuspendedError);
    await outcome(client.session.connected());
    expect(await held.release()).toBe('released');
    client.network.partition();
    const again = await outcome(new Locks(client.session).lock(path, { timeoutMs: 200 }));
    expect(again.error, 'while nothing comes through').toBeInstanceOf(LockTimeoutError);
    client.cut();
    await queue(path, 0);
    const third = await outcome(new Locks(client.session).lock(path));
    client.network.partition();
    const releasing = third.value?.release();
    await delay(20);
    client.cut();
    expect(await releasing, 'a release whose answer was lost').toBe('unconfirmed');
    expect(await third.value?.release(), 'the second one').toBe('unconfirmed');
    await queue(path, 0);
  });

  test('close ends what waits, frees what was held, and keeps no process alive', async () => {
    const path = fresh();
    const client = await session();
    const it = new Locks(client);
    const held = await it.lock(path);
    const waiting = outcome(it.lock(path));
    await queue(path, 2);
    await client.close();
    expect((await waiting).error).toBeInstanceOf(SessionClosedError);
    expect(held.signal.reason).toBeInstanceOf(SessionClosedError);
    expect((await outcome(it.lock(path))).error).toBeInstanceOf(SessionClosedError);
    expect((await outcome(client.children(path))).error).toBeInstanceOf(SessionClosedError);
    await queue(path, 0);
    await client.close();
    const sockets = () =>
      process.getActiveResourcesInfo().filter((name) => /^TCPSocketWrap|^TCPWrap/.test(name)).length;
    const none = sockets();
    const silent = await behindNetwork();
    const [suspended, trying] = [await behindNetwork(), await behindNetwork()];
    for (const { network } of [silent, suspended, trying]) network.partition();
    suspended.network.reset();
    trying.network.reset();
    await until(() => suspended.session.state === 'suspended' && trying.session.state === 'suspended');
    const unsent = await outcome(suspended.session.children(path));
    expect(unsent.error, 'a request while there is no connection').toBeInstanceOf(ConnectionLossError);
    await trying.network[Symbol.asyncDispose]();
    const closing = Promise.all([silent, suspended, trying].map(({ session }) => session.close()));
    expect((await outcome(closing, 4_000)).error).toBeUndefined();
    for (const { network } of [silent, suspended]) await network[Symbol.asyncDispose]();
    await delay(250);
    expect(sockets(), 'sockets that are open when all is closed').toBeLessThanOrEqual(none);
  });

  test('an unreachable ZooKeeper is given up in time, and the server has the last word on the timeout', async () => {
    const network = await zk.nodes[0].proxy();
    onTestFinished(() => network[Symbol.asyncDispose]());
    network.partition();
    const host = new URL(network.url).host;
    const mute = await outcome(Session.connect(host, { timeoutMs: 150 }));
    expect(mute.error).toBeInstanceOf(ConnectTimeoutError);
    const beside = Array.from({ length: 2 }, () => session(SHORT, `${host},${host},${host},${zk.connectString}`));
    expect((await outcome(Promise.all(beside), 5_000)).error, 'one server answers, of four').toBeUndefined();
    const closed = await outcome(Session.connect('127.0.0.1:1', { timeoutMs: 1 }));
    expect(closed.error).toBeInstanceOf(ConnectTimeoutError);
    const leaving = new AbortController();
    const asking = outcome(Session.connect(host, { signal: leaving.signal }));
    leaving.abort('never mind');
    expect((await asking).error).toBe('never mind');
    expect(getEventListeners(leaving.signal, 'abort')).toEqual([]);
    const usual = await Session.connect(zk.connectString);
    onTestFinished(() => usual.close());
    expect(usual.timeoutMs).toBe(10_000);
    expect([(await session(1)).timeoutMs, (await session(90_000)).timeoutMs]).toEqual([400, 40_000]);
  });

  test('a session is trusted for two thirds of its timeout from the last answer on, and no longer', async () => {
    const client = await session();
    const clock = performance.now.bind(performance);
    let ahead = 0;
    const now = vi.spyOn(performance, 'now').mockImplementation(() => clock() + ahead);
    try {
      const states = [0.6, 0.7].map((share) => {
        ahead = share * LONG;
        return client.state;
      });
      expect(states, 'after 0.6 and 0.7 of the timeout').toEqual(['connected', 'suspended']);
    } finally {
      now.mockRestore();
    }
  });

  test('who waits no longer gets his own reason, or learns how many were in front', async () => {
    const path = fresh();
    await using _held = await (await locks()).lock(path);
    const it = await locks();
    const leaving = new AbortController();
    const reason = new Error('the customer went home');
    const asking = outcome(it.lock(path, { signal: leaving.signal }));
    await queue(path, 2);
    leaving.abort(reason);
    expect((await asking).error).toBe(reason);
    expect((await outcome(it.lock(path, { signal: leaving.signal }))).error).toBe(reason);
    expect(getEventListeners(leaving.signal, 'abort')).toEqual([]);
    await queue(path, 1);
    const behind = outcome(it.lock(path, PATIENT));
    await queue(path, 2);
    const warned = vi.fn();
    process.once('warning', warned);
    await Promise.all(Array.from({ length: 12 }, () => outcome(it.lock(path, { timeoutMs: 20 }))));
    process.off('warning', warned);
    expect(warned.mock.calls, 'listeners that were left behind').toEqual([]);
    await queue(path, 2);
    const timed = await outcome(it.lock(path, { timeoutMs: 80 }));
    expect(timed.error).toBeInstanceOf(LockTimeoutError);
    expect(timed.error).toHaveProperty('ahead', 2);
    const now = await outcome(it.lock(path, { timeoutMs: 0 }));
    expect(now.error).toBeInstanceOf(LockTimeoutError);
    await _held.release();
    await (await behind).value?.release();
    await queue(path, 0);
    expect(await (await it.lock(path, { timeoutMs: 0 })).release()).toBe('released');
  });

  test('what ZooKeeper refuses is an error with its code', async () => {
    const path = fresh();
    await (await session()).ensure(path);
    const leaf = await (await locks()).lock(path);
    const { error } = await outcome((await locks()).lock(leaf.node));
    expect(error, 'a place under an ephemeral node').toBeInstanceOf(RefusedError);
    expect(error).toHaveProperty('code', -108);
  });

  test('no right is needed above the path, and who may not look into it leaves what he made', async () => {
    const path = fresh();
    const [it, admin] = [await locks(), await session()];
    await admin.ensure(`${path}/app`);
    await permit(path, Permission.READ | Permission.ADMIN);
    expect(await (await it.lock(`${path}/app/lockers/7`)).release()).toBe('released');
    await permit(`${path}/app`, Permission.CREATE | Permission.DELETE | Permission.ADMIN);
    const { error } = await outcome(it.lock(`${path}/app`));
    expect(error, 'to list the queue').toBeInstanceOf(RefusedError);
    expect(error).toHaveProperty('code', Exception.NO_AUTH);
    for (const each of [path, `${path}/app`]) await permit(each, Permission.ALL);
    expect(await queue(`${path}/app`, 1), 'who stands there').toEqual(['lockers']);
    const rootless = new FencedStore(await session(LONG, `${zk.connectString}${path}/missing`));
    expect((await outcome(rootless.write('/a', 1n, ''))).error).toBeInstanceOf(RefusedError);
  });

  test('a listener that throws keeps nobody else from hearing', async () => {
    const path = fresh();
    const thrown = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation(() => {});
    onTestFinished(() => thrown.mockRestore());
    const grudge = () => {
      throw new Error('a grudge');
    };
    const client = await behindNetwork();
    const first = await (await locks()).lock(path);
    client.session.onTrouble(grudge);
    await client.session.get(first.node, grudge);
    const asking = outcome(new Locks(client.session).lock(path), 4_000);
    await queue(path, 2);
    await watched(1);
    await first.release();
    const { value: lock, error } = await asking;
    expect(lock, `the lock after the release; ${error}`).toBeDefined();
    client.cut();
    await until(() => lock?.signal.aborted, { what: 'the holder to be told' });
    expect((await outcome(client.session.connected(), 4_000)).error).toBeUndefined();
    for (const [rethrow] of thrown.mock.calls) expect(rethrow, 'what the process is told').toThrow('a grudge');
    expect(thrown).toHaveBeenCalledTimes(2);
  });

  test('whose place somebody else deletes has lost it', async () => {
    const path = fresh();
    const admin = await session();
    const held = await (await locks()).lock(path);
    const asking = outcome((await locks()).lock(path));
    const names = await queue(path, 2);
    await watched(1);
    const mine = names.find((name) => !held.node.endsWith(name));
    await admin.remove(`${path}/${mine}`);
    await admin.remove(held.node);
    expect((await asking).error).toBeInstanceOf(LockLostError);
    expect(await held.release()).toBe('lost');
    expect(await held.release()).toBe('lost');
  });

  test('one leads, everybody knows who, and the next one leads when he resigns', async () => {
    const path = fresh();
    const observer = await locks();
    expect(await observer.leader(path)).toBeUndefined();
    const first = await (await locks()).elect(path, '__proto__');
    const running = (await locks()).elect(path, '经理 B');
    await queue(path, 2);
    expect(await observer.leader(path)).toEqual({ id: '__proto__', fence: first.fence });
    await first.release();
    const { value: second } = await outcome(running);
    expect(await observer.leader(path)).toEqual({ id: '经理 B', fence: second?.fence });
    expect(await second?.release()).toBe('released');
    expect(await observer.leader(path)).toBeUndefined();
  });

  test('of writes at once the newest fence wins, and the data of somebody else is not touched', async () => {
    const path = `${fresh()}/deep/down`;
    const client = await session();
    const store = new FencedStore(client);
    const fences = random(SEED).shuffle(Array.from({ length: 12 }, (_, fence) => BigInt(fence)));
    const outcomes = await Promise.all(fences.map((fence) => store.write(path, fence, `${fence}\nof twelve`)));
    expect(outcomes[fences.indexOf(11n)]).toBe('ok');
    expect(await store.read(path)).toEqual({ fence: 11n, value: '11\nof twelve' });
    const foreign = fresh();
    await client.create(foreign, '{"fence":1}', 'PERSISTENT');
    expect((await outcome(store.write(foreign, 1n, ''))).error).toBeInstanceOf(ForeignDataError);
    expect((await outcome(store.read(foreign))).error).toBeInstanceOf(ForeignDataError);
    expect(await store.read(fresh())).toBeUndefined();
  });

  test('half of a reply, cut off by a broken connection, does no harm to the next one', async () => {
    const path = fresh();
    await using halves = await halvingNetwork(zk.nodes[0].port);
    const client = await session(LONG, `127.0.0.1:${halves.port}`);
    const it = new Locks(client);
    halves.cutInHalf();
    const { value: lock, error } = await outcome(it.lock(path), 4_000);
    expect(lock, `the lock, ${halves.cut()} replies cut in half; ${error}`).toBeDefined();
    expect(halves.cut()).toBe(1);
    expect(await lock?.release()).toBe('released');
  });

  test('a code that the client does not know ends neither the process nor the session', async () => {
    const path = fresh();
    await using network = await halvingNetwork(zk.nodes[0].port);
    const client = await session(LONG, `127.0.0.1:${network.port}`);
    const it = new Locks(client);
    // THROTTLEDOP, of servers that are newer than the client.
    network.answerWith(-127);
    const { error } = await outcome(client.ensure(path), 4_000);
    if (error !== undefined) expect(error).toBeInstanceOf(RefusedError);
    const { value: lock, error: why } = await outcome(it.lock(path), 4_000);
    expect(lock, `the lock afterwards; ${why}`).toBeDefined();
    expect(await lock?.release()).toBe('released');
  });

  test('a process that stood still knows it at once, and its write is refused', async () => {
    const path = fresh();
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL('./frozen-holder.ts', import.meta.url), {
      workerData: { connectString: zk.connectString, path, sessionTimeoutMs: SHORT, gate },
    });
    onTestFinished(() => worker.terminate().then(() => {}));
    const [{ fence }] = await once(worker, 'message');
    const { value: next } = await outcome((await locks()).lock(path), 4_000);
    if (!next) throw new Error('the frozen holder still has the lock');
    expect(next.fence).toBeGreaterThan(fence);
    await new FencedStore(await session()).write(`${path}-value`, next.fence, 'next');
    const answer = once(worker, 'message');
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    const [late] = await answer;
    expect(late).toEqual({ abortedAtOnce: true, outcome: 'stale' });
  });
});
