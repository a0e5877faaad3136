import { getEventListeners, once } from 'node:events';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startRedis } from '@shared/services';
import {
  chaos,
  describeWith,
  detour,
  History,
  ManualClock,
  outcome,
  overlaps,
  random,
  stillLoading,
  unhandledRejections,
  until,
  whileBusy,
} from '@shared/testkit';
import { Cluster, Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type Clock,
  connectNodes,
  InvalidArgumentError,
  type Lease,
  LeaseLostError,
  LeaseReleasedError,
  LockHeldError,
  QuorumUnreachableError,
  Redlock,
  TooLateError,
} from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const MINUTE = 60_000;
const ONCE = { maxMs: 0 };
/** Where "no" is expected and not "silent": on a busy machine an answer takes its time. */
const PATIENT = { nodeTimeoutMs: 2_000 };
const NOT_OURS = 'it kills, hangs or restarts servers, and these are not ours';

await describeWith('redlock', { redis: () => startRedis({ nodes: 5 }) }, ({ redis }) => {
  const urls = redis.nodes.map((node) => node.url);

  /** Clients of the test's own, so that it meets no request of another. */
  const connect = (to: readonly string[] = urls, options?: Parameters<typeof connectNodes>[1]): Redis[] => {
    const nodes = connectNodes(to, options);
    onTestFinished(() => {
      for (const node of nodes) node.disconnect();
    });
    return nodes;
  };
  const lock = (options?: ConstructorParameters<typeof Redlock>[1], to?: readonly string[]) =>
    new Redlock(connect(to), options);
  /** A network of the test's own in front of each node. */
  const links = async () => {
    const proxies = await Promise.all(redis.nodes.map((node) => node.proxy()));
    onTestFinished(() => Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]())).then(() => {}));
    return proxies;
  };
  let lockers = 0;
  const fresh = () => `${redis.namespace}locker:${++lockers}`;
  const holders = (nodes: readonly Redis[], key: string) =>
    Promise.all(nodes.map((node) => node.get(key).catch(() => null)));
  /** A lock is granted by the first majority; the rest of the nodes follow. */
  const onAllNodes = (key: string, token: string) => onNodes(connect(), key, token);
  const onNodes = async (nodes: readonly Redis[], key: string, token: string) => {
    await until(async () => (await holders(nodes, key)).every((found) => found === token), {
      what: `${key} everywhere`,
    });
  };
  /** Keys that the nodes still have. */
  const keysLeft = async (nodes: readonly Redis[], key: string) =>
    (await holders(nodes, key)).filter((token) => token !== null).length;
  /** Given up before the test's own limit is, so that a red law says what it waited for. */
  const gone = async (key: string, what: string) => {
    const nodes = connect();
    await until(async () => (await keysLeft(nodes, key)) === 0, { timeoutMs: 3_000, what });
  };
  const expired = (key: string) => gone(key, `${key} to expire`);
  /** From now on the answers to requests that have a word of `about` are lost; the nodes do what they are asked. */
  const loseAnswers = (nodes: readonly Redis[], ...about: (string | number)[]) => {
    for (const node of nodes) {
      const send = node.sendCommand.bind(node);
      vi.spyOn(node, 'sendCommand').mockImplementation((command, stream) => {
        const answer = send(command, stream);
        if (!command.args.some((word) => about.map(String).includes(String(word)))) return answer;
        command.promise.catch(() => {});
        return new Promise(() => {});
      });
    }
  };
  /** A client sends the next request again, on its next connection, when the one that it was done on breaks. */
  const sendAgain = (nodes: readonly Redis[], others: readonly Redis[]) => {
    for (const [index, node] of nodes.entries()) {
      const send = node.sendCommand.bind(node);
      const twice: typeof send = (command, stream) =>
        others[index]?.call(command.name, ...command.args.map(String)).then(() => send(command, stream));
      vi.spyOn(node, 'sendCommand').mockImplementationOnce(twice);
    }
  };
  const withDown = async (count: number, fault: 'kill' | 'pause', body: () => Promise<void>) => {
    const victims = redis.nodes.slice(0, count);
    await Promise.all(victims.map((node) => node[fault]()));
    try {
      await body();
    } finally {
      await Promise.all(victims.map((node) => (fault === 'kill' ? node.restart() : node.resume())));
    }
  };

  // ── what no lock can be made from ─────────────────────────────────────────────────────────────────────────────────

  test('no lock is made of no node, of a cluster, of a replica set, or of one server twice', () => {
    const local = (host: string) => new Redis({ host, port: 7_001, lazyConnect: true });
    const sentinels = [{ host: '127.0.0.1', port: 26_379 }];
    const set = new Redis({ sentinels, name: 'locks', lazyConnect: true });
    const cluster: unknown = new Cluster([{ host: '127.0.0.1', port: 7_000 }], { lazyConnect: true });
    const noLock: [string, unknown][] = [
      ['no node', []],
      ['no list', undefined],
      ['no client', [{}]],
      ['a hole', [undefined]],
      ['a cluster', [cluster]],
      ['a replica set', [set]],
      ['one server twice', connect([...urls.slice(0, 2), ...urls.slice(0, 1)])],
      ['one server under two names', [local('127.0.0.1'), local('LocalHost')]],
    ];
    for (const [what, nodes] of noLock) {
      // @ts-expect-error: untyped code can hand in anything
      expect(() => new Redlock(nodes), what).toThrow(InvalidArgumentError);
    }
    expect(() => new Redlock([local('127.0.0.1'), local('127.0.0.2')])).not.toThrow();
    const noNode: [string, unknown, number?][] = [
      ['an empty URL, which a list that ends in a comma has', [...urls, '']],
      ['a variable that is not set', [...urls, undefined]],
      ['no URL', [...urls, 'not a url']],
      ['a list cut at its commas only', [...urls, ' redis://127.0.0.1:7000']],
      ['a host that is not set, which ioredis takes for localhost', [...urls, 'redis://']],
      ['no host but a database', [...urls, 'redis:///0']],
      ['a scheme in capitals, which ioredis connects to without TLS', ['REDISS://127.0.0.1:7000']],
      ['one URL and no list', 'redis://127.0.0.1:7000'],
      ['a port that no server has', [...urls, 'redis://127.0.0.1:70000']],
      ['a path that is no database, which ioredis selects as NaN', ['redis://127.0.0.1:7000/locks']],
      ['a password with a bare %', [...urls, 'redis://:100%@127.0.0.1:7000']],
      ['a server of another kind', ['http://127.0.0.1:7000']],
      ['no silence', urls, 0],
      ['endless silence', urls, Number.POSITIVE_INFINITY],
      ['a silence beyond any timer', urls, 2 ** 31],
    ];
    const connecting = vi.spyOn(Redis.prototype, 'connect');
    onTestFinished(() => connecting.mockRestore());
    for (const [what, to, silentMs] of noNode) {
      // @ts-expect-error: untyped code can hand in anything
      expect(() => connectNodes(to, { silentMs }), what).toThrow(InvalidArgumentError);
    }
    expect(connecting, 'connections that nobody could close').not.toHaveBeenCalled();
    expect(() => connectNodes([' redis://:secret@127.0.0.1']), 'what a log may have').toThrow(/^(?!.*secret)/s);
  });

  test('what no lock can be made from is refused before anything is sent', async () => {
    const seats = Array.from({ length: 50_000 }, (_, seat) => `seat:${50_000 - seat}`);
    const bad: [string, unknown, unknown, object?][] = [
      ['a TTL of 0', ['a'], 0],
      ['a negative TTL', ['a'], -5],
      ['a TTL that is not a number', ['a'], Number.NaN],
      ['a TTL in a text', ['a'], '1000'],
      ['a bigint', ['a'], 1_000n],
      ['a TTL that has no text', ['a'], Object.create(null)],
      ['a fraction of a millisecond', ['a'], 1.5],
      ['a TTL that the drift uses up', ['a'], 2],
      ['a TTL that the drift uses up to the last', ['a'], 4, { driftFactor: 0.5 }],
      ['a TTL beyond any timer', ['a'], 2 ** 31],
      ['no resource', [], 1_000],
      ['a name and no list', 'a', 1_000],
      ['an empty name', [''], 1_000],
      ['a bigint for a name', [7n], 1_000],
      ['a name longer than any index holds', ['柜'.repeat(700)], 1_000],
      ['half an emoji, which any other half would meet as one key', ['user\ud83d'], 1_000],
      ['a name that no database can hold', ['a\0'], 1_000],
      ['a resource twice', ['a', 'b', 'a'], 1_000],
      // Names compared with each other would keep the process from all else until the test's time is up.
      ['a resource twice in a long list', [...seats, 'seat:1'], 1_000],
      ['a negative wait', ['a'], 1_000, { retry: { maxMs: -1 } }],
      ['a wait in a text', ['a'], 1_000, { retry: { maxMs: '100' } }],
      ['a wait beyond any timer', ['a'], 1_000, { retry: { delayMs: 2 ** 30, jitterMs: 2 ** 30 } }],
      ['a node timeout above the TTL', ['a'], 1_000, { nodeTimeoutMs: 1_001 }],
      ['a drift factor of 1', ['a'], 1_000, { driftFactor: 1 }],
    ];
    const nodes = connect();
    const sends = nodes.map((node) => vi.spyOn(node, 'sendCommand'));
    for (const [what, resources, ttlMs, options] of bad) {
      // @ts-expect-error: untyped code can hand in anything
      const { error } = await outcome(new Redlock(nodes, options).acquire(resources, ttlMs));
      expect(error, what).toBeInstanceOf(InvalidArgumentError);
      expect(
        sends.flatMap((send) => send.mock.calls).filter(([command]) => ['set', 'eval'].includes(command.name)),
        what,
      ).toEqual([]);
    }
  });

  test('what stands at a limit is within it', async () => {
    const longest = '柜'.repeat(500) + 'x'.repeat(500);
    const lease = await lock(PATIENT).acquire([longest], 2 ** 31 - 1);
    expect(await lease.release()).toBe('released');
    expect(connect(urls, { silentMs: 1 })).toHaveLength(5);
  });

  test('a client of the caller that gives numbers as text is understood', async () => {
    const nodes = urls.map((url) => new Redis(url, { stringNumbers: true }));
    onTestFinished(() => {
      for (const node of nodes) node.disconnect();
    });
    const redlock = new Redlock(nodes, PATIENT);
    for (const keys of [[fresh()], [fresh(), fresh()]]) {
      const lease = await redlock.acquire(keys, MINUTE, { retry: ONCE });
      await lease.extend(MINUTE);
      expect(await lease.release()).toBe('released');
    }
  });

  test('a client of the caller that sends again does not keep him from the lock that it took', async () => {
    const [nodes, others] = [urls.map((url) => new Redis(url)), connect()];
    onTestFinished(() => {
      for (const node of nodes) node.disconnect();
    });
    await Promise.all(nodes.map((node) => node.ping()));
    for (const keys of [[fresh()], [fresh(), fresh()]]) {
      sendAgain(nodes, others);
      const { error, value: lease } = await outcome(new Redlock(nodes, PATIENT).acquire(keys, MINUTE, { retry: ONCE }));
      expect(error).toBeUndefined();
      expect(await lease?.release()).toBe('released');
    }
  });

  test('what the caller changes after the call changes nothing, and a lease is frozen', async () => {
    const [key, other] = [fresh(), fresh()];
    const [nodes, names] = [connect(), [key, '__proto__', 'constructor']];
    const retry = { maxMs: 10_000, delayMs: 5, jitterMs: 0 };
    const redlock = new Redlock(nodes, { ...PATIENT, retry });
    const held = await lock().acquire([key], MINUTE);
    const waiting = redlock.acquire(names, MINUTE);
    names[0] = other;
    nodes.length = 0;
    retry.delayMs = MINUTE;
    await held.release();
    const { value: lease } = await outcome(waiting, 5_000);
    expect(lease?.resources).toEqual([key, '__proto__', 'constructor']);
    expect(lease?.resources).toSatisfy(Object.isFrozen);
    // A node that was asked before it heard of the release has said no: a majority is what a lock has.
    const found = await holders(connect(), '__proto__');
    expect(found.filter((token) => token === lease?.token).length).toBeGreaterThan(2);
    expect(await lease?.release()).toBe('released');
  });

  // ── one holder ────────────────────────────────────────────────────────────────────────────────────────────────────

  test('one client holds the lock, and one that dies holds it for its TTL at most', async () => {
    const key = fresh();
    const dying = connect();
    await Promise.all(dying.map((node) => node.ping()));
    for (const node of dying) {
      let commands = 0;
      const send = node.sendCommand.bind(node);
      // Whoever needs two commands for a key with an end dies before the second.
      vi.spyOn(node, 'sendCommand').mockImplementation((command, stream) => {
        if (++commands === 2) node.disconnect();
        return send(command, stream);
      });
    }
    await outcome(new Redlock(dying, { nodeTimeoutMs: 200 }).acquire([key], 200, { retry: ONCE }));
    for (const node of dying) node.disconnect();
    await expired(key);
    const next = lock(PATIENT);
    {
      await using lease = await lock(PATIENT).acquire([key], MINUTE);
      await onAllNodes(key, lease.token);
      await expect(next.acquire([key], MINUTE, { retry: ONCE })).rejects.toThrow(LockHeldError);
    }
    await gone(key, 'the key to be freed by the release of its holder');
    const lease = await next.acquire([key], MINUTE);
    await onAllNodes(key, lease.token);
    expect(await lease.release()).toBe('released');
  });

  test("a holder whose lock expired cannot release the next holder's lock", async () => {
    const key = fresh();
    const [a, b] = [lock(), lock(PATIENT)];
    const history = new History<string>();
    const first = await a.acquire([key], 100);
    history.record('A acquired for 100 ms');
    await expired(key);
    const second = await b.acquire([key], MINUTE);
    await onAllNodes(key, second.token);
    history.record(`B acquired; A's lease has ${first.remaining().toFixed(0)} ms left`);
    history.record(`A released: ${await first.release()}`);
    const votes = await holders(connect(), key);
    history.record(`B's key is on ${votes.filter((token) => token === second.token).length} of 5 nodes`);
    expect(votes, history.toString()).toEqual(urls.map(() => second.token));
    expect(await second.release()).toBe('released');
  });

  test("a lease that expired cannot release the same client's next lease", async () => {
    const key = fresh();
    const redlock = lock();
    const first = await redlock.acquire([key], 100);
    await expired(key);
    const second = await redlock.acquire([key], MINUTE);
    await onAllNodes(key, second.token);
    expect(await first.release()).toBe('expired');
    expect(await holders(connect(), key)).toEqual(urls.map(() => second.token));
  });

  test('nobody can take the lock between the check and the deletion of a release', async () => {
    const key = fresh();
    const nodes = connect();
    const rival = connect();
    const lease = await new Redlock(nodes).acquire([key], MINUTE);
    await onAllNodes(key, lease.token);
    // Whoever needs two commands to release finds, at the second, that the lock has expired and a rival has taken it.
    const taken = new Set<number>();
    for (const [index, node] of nodes.entries()) {
      let commands = 0;
      const send = node.sendCommand.bind(node);
      vi.spyOn(node, 'sendCommand').mockImplementation(async (command, stream) => {
        if (++commands === 2) {
          await rival[index]?.set(key, 'rival');
          taken.add(index);
        }
        return send(command, stream);
      });
    }
    await lease.release();
    await expect
      .poll(() => holders(rival, key), { message: 'keys on the nodes after the release' })
      .toEqual(nodes.map((_, index) => (taken.has(index) ? 'rival' : null)));
  });

  test('two of five nodes may be down, and a lock on fewer than a majority is not a lock', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const redlock = lock(PATIENT);
    await withDown(2, 'kill', async () => {
      // Shorter than the test's own limit: a red law then shows the votes.
      const lease = await redlock.acquire([fresh()], MINUTE, { retry: { maxMs: 2_000 } });
      expect(await lease.release()).toBe('released');
    });
    await withDown(3, 'kill', async () => {
      await expect(redlock.acquire([fresh()], MINUTE, { retry: ONCE })).rejects.toThrow(QuorumUnreachableError);
    });
  });

  test('several resources are taken together or not at all', async () => {
    const [left, right] = [fresh(), fresh()];
    const redlock = lock(PATIENT);
    const one = await redlock.acquire([right], MINUTE);
    await expect(redlock.acquire([left, right], MINUTE, { retry: ONCE })).rejects.toThrow(LockHeldError);
    const nodes = connect();
    await until(async () => (await keysLeft(nodes, left)) === 0, { what: 'the free one of the two to be freed' });
    await one.release();
    await using both = await redlock.acquire([left, right], MINUTE);
    await onAllNodes(left, both.token);
    await onAllNodes(right, both.token);
    await both.extend(2 * MINUTE);
    await expect.poll(() => nodes[0]?.pttl(right)).toBeGreaterThan(MINUTE);
  });

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A clock that stands still until the test sets it; its timers fire only when the test advances it. */
  const handClock = () => {
    const manual = new ManualClock();
    const clock: Clock = manual;
    return { manual, clock };
  };

  test('the validity is the TTL less the time spent asking and the clock drift', async () => {
    let now = 5_000;
    const redlock = lock({ clock: { mono: () => now, after: () => () => {} } });
    const asking = redlock.acquire([fresh()], 10_000, { driftFactor: 0.01 });
    now += 40;
    const lease = await asking;
    expect(lease.remaining(), 'left of 10 s, after 40 ms of asking, with a drift of 1 % + 2 ms').toBe(
      10_000 - 40 - 102,
    );
    expect(lease.validUntil).toBe(5_000 + 10_000 - 102);
    const late = redlock.acquire([fresh()], 10_000, { retry: ONCE });
    now += 10_000 - 102;
    const { error } = await outcome(late);
    expect(error, 'a majority that answers when nothing is left').toBeInstanceOf(TooLateError);
  });

  test('a wall clock that is set back does not lengthen a lease', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    await using lease = await lock().acquire([fresh()], 1_000);
    vi.setSystemTime(Date.now() - 60_000);
    expect(lease.remaining()).toBeLessThan(1_000);
  });

  test('the signal aborts before the lease ends, wherever an extension has moved the end', async () => {
    const { manual, clock } = handClock();
    const nodes = connect();
    const redlock = new Redlock(nodes, { clock });
    /** How long before the end of the lease its signal aborts. */
    const notice = async (change: (lease: Lease) => Promise<unknown>) => {
      const lease = await redlock.acquire([fresh()], MINUTE);
      let left = Number.NaN;
      lease.signal.addEventListener('abort', () => {
        left = lease.validUntil - clock.mono();
      });
      await change(lease);
      await manual.advance(2 * MINUTE);
      expect(lease.signal.reason, 'why the signal has aborted, when the end is past').toBeInstanceOf(LeaseLostError);
      expect(lease.remaining()).toBe(0);
      return left;
    };
    expect(await notice(async () => {}), 'at most 500 ms').toBeCloseTo(500);
    expect(await notice((lease) => manual.advance(MINUTE / 2).then(() => lease.extend(MINUTE))), 'later').toBeCloseTo(
      500,
    );
    expect(await notice((lease) => lease.extend(1_000)), 'sooner: a tenth of the TTL').toBeCloseTo(100);
    // The nodes have shortened the lease, and nobody has heard of it.
    loseAnswers(nodes, 2_000);
    const unheard = await notice(async (lease) => {
      const extending = outcome(lease.extend(2_000));
      await manual.advance(50);
      expect((await extending).error).toBeInstanceOf(QuorumUnreachableError);
    });
    expect(unheard, 'sooner, as far as anybody knows').toBeCloseTo(200);
  });

  // ── nothing is left behind, nobody waits for ever ─────────────────────────────────────────────────────────────────

  test('a hung majority is refused in bounded time', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    // No other limit but the node timeout ends the wait: not the silence of the socket.
    const redlock = new Redlock(connect(urls, { silentMs: MINUTE }), { nodeTimeoutMs: 40 });
    await (await redlock.acquire([fresh()], MINUTE)).release();
    await withDown(3, 'pause', async () => {
      const { error } = await outcome(redlock.acquire([fresh()], MINUTE, { retry: ONCE }));
      expect(error).toBeInstanceOf(QuorumUnreachableError);
    });
  });

  test('an answer that came in time counts, also where the process was too busy to read it', async () => {
    const redlock = lock({ nodeTimeoutMs: 10, retry: ONCE });
    await (await redlock.acquire([fresh()], MINUTE, PATIENT)).release();
    let refusal: unknown;
    // On a busy machine an answer takes its time.
    for (const busyMs of [25, 50, 100, 200]) {
      // After a turn of the event loop come its timers, and only then what the nodes have sent.
      await nextTurn();
      const asked = outcome(redlock.acquire([fresh()], MINUTE).then((lease) => lease.release()));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyMs);
      refusal = (await asked).error;
      if (!refusal) break;
    }
    expect(refusal).toBeUndefined();
  });

  test('a failed acquire leaves no key on any node, nor on one that answers too late', async () => {
    const key = fresh();
    const proxies = await links();
    const nodes = connect();
    const redlock = lock(
      { nodeTimeoutMs: 40 },
      proxies.map((proxy) => proxy.url),
    );
    await (await redlock.acquire([fresh()], MINUTE, PATIENT)).release();
    for (const proxy of proxies.slice(0, 3)) proxy.partition('down');
    await expect(redlock.acquire([key], MINUTE, { retry: ONCE })).rejects.toThrow(QuorumUnreachableError);
    await until(async () => (await keysLeft(nodes, key)) === 0, { timeoutMs: 2_500, what: 'all keys to be gone' });
  });

  test('a clean-up that is lost with its connection is sent again', async () => {
    const key = fresh();
    const proxies = await links();
    const nodes = connect();
    const cutOff = connect(proxies.map((proxy) => proxy.url));
    const redlock = new Redlock(cutOff);
    // All of them: a lock would be granted while two are still connecting, and these would never get to send the request.
    await Promise.all(cutOff.map((node) => node.ping()));
    // The request comes through; what frees the key does not.
    for (const proxy of proxies) proxy.partition('down');
    const leaving = new AbortController();
    const cut = outcome(redlock.acquire([key], MINUTE, { ...PATIENT, signal: leaving.signal }));
    await until(async () => (await keysLeft(nodes, key)) === nodes.length, { what: 'all nodes to have the key' });
    for (const proxy of proxies) proxy.partition('both');
    leaving.abort('left');
    expect((await cut).error).toBe('left');
    for (const proxy of proxies) {
      proxy.reset();
      proxy.heal();
    }
    await until(async () => (await keysLeft(nodes, key)) === 0, {
      timeoutMs: 2_500,
      what: 'the cut nodes to be freed',
    });
  });

  test('a request for the lock that comes later than its clean-up is undone as well', async () => {
    const { manual, clock } = handClock();
    const [key, nodes, others] = [fresh(), connect(), connect()];
    await Promise.all([...nodes, ...others].map((node) => node.ping()));
    const sends = nodes.map((node) => vi.spyOn(node, 'sendCommand'));
    const refusal = (async () => others[0]?.call('refused'))();
    const broken = () => Promise.reject(new Error('Connection is closed.'));
    // The network keeps what was sent on a connection that has broken.
    const late: (() => Promise<unknown>)[] = [];
    const kept = (index: number, answer: () => Promise<unknown>) =>
      sends[index]?.mockImplementationOnce(({ name, args }) => {
        late.push(async () => others[index]?.call(name, ...args.map(String)));
        return answer();
      });
    const silence = () => new Promise(() => {});
    sends[0]?.mockImplementationOnce(() => refusal);
    sends[1]?.mockImplementationOnce(() => outcome(refusal).then(broken));
    kept(2, () => outcome(refusal).then(broken));
    // Of these two it breaks once the outcome is known: with the clean-up, and before it.
    kept(3, silence)?.mockImplementationOnce(broken);
    const [last] = nodes.slice(4);
    if (!last) return expect.fail('no node');
    kept(4, () => {
      last.status = 'reconnecting';
      return silence();
    })?.mockImplementationOnce(async () => {
      last.status = 'ready';
      return 0;
    });
    const asking = outcome(new Redlock(nodes, { clock }).acquire([key], 5_000, { retry: ONCE }));
    await outcome(refusal);
    // Whoever waits for each node gives up the two that are silent.
    await manual.advance(50);
    expect((await asking).error).toBeInstanceOf(QuorumUnreachableError);
    await manual.advance(100);
    await Promise.all(nodes.map((node) => node.ping()));
    await Promise.all(late.map((arrive) => arrive()));
    expect(await keysLeft(others, key), 'keys that have come late').toBe(3);
    // Step by step: each pause begins with an answer.
    const wait = async (steps: number) => {
      for (let step = 0; step < steps; step++) {
        await manual.advance(100);
        await Promise.all(nodes.map((node) => node.ping()));
      }
      return sends.map(({ mock }) => mock.calls.filter(([{ name }]) => name === 'eval').length);
    };
    await wait(20);
    expect(await keysLeft(others, key), 'keys that have come late, 2 s later').toBe(0);
    await wait(40);
    await manual.advance(MINUTE);
    const requests = await wait(1);
    expect(requests[0], 'requests to the node that has refused').toBe(1);
    expect(Math.max(...requests), `requests to free each node: ${requests}`).toBeLessThan(10);
    await manual.advance(MINUTE);
    expect(await wait(1), 'once the TTL has passed').toEqual(requests);
  });

  test('a node that answers with errors is asked ever more seldom to free what it may have taken', async () => {
    const { manual, clock } = handClock();
    const [key, node] = [fresh(), new Redis(redis.nodes[0]?.url ?? '')];
    onTestFinished(() => node.disconnect());
    // A key of another type: what is asked about it is answered with an error.
    await node.hset(key, 'not', 'a lock');
    const sends = vi.spyOn(node, 'sendCommand');
    const { error } = await outcome(new Redlock([node], { clock }).acquire([key], MINUTE, { retry: ONCE }));
    expect(error).toBeInstanceOf(QuorumUnreachableError);
    const wait = async (seconds: number) => {
      for (let step = 0; step < 10 * seconds; step++) {
        await manual.advance(100);
        await node.ping();
      }
    };
    await wait(10);
    const asked = sends.mock.calls.filter(([{ name }]) => name === 'eval').length;
    expect(asked, 'requests to free the node, in 10 s').toBeLessThan(10);
    const token = sends.mock.calls.find(([{ name }]) => name === 'set')?.[0].args[1];
    await node.set(key, String(token));
    await wait(20);
    expect(await node.exists(key), 'keys that are left once it answers').toBe(0);
  });

  test('a node that hangs is asked ever more seldom to free what it may have taken, where each request has a time limit', async () => {
    const { manual, clock } = handClock();
    const [key, [link]] = [fresh(), await links()];
    const node = new Redis(link?.url ?? '', { commandTimeout: 20 });
    onTestFinished(() => node.disconnect());
    await until(() => node.status === 'ready', { what: 'a connection' });
    link?.partition('both');
    const sends = vi.spyOn(node, 'sendCommand');
    const asking = outcome(new Redlock([node], { clock }).acquire([key], MINUTE, { retry: ONCE }));
    await manual.advance(50);
    expect((await asking).error).toBeInstanceOf(QuorumUnreachableError);
    for (let step = 0; step < 50; step++) {
      await manual.advance(100);
      // It reaches its limit after whatever was asked before.
      await outcome(node.ping());
    }
    const asked = sends.mock.calls.filter(([{ name }]) => name === 'eval').length;
    expect(asked, 'requests that wait in memory to free one key, in 5 s').toBeLessThan(10);
    link?.heal();
    await gone(key, 'what was sent to be delivered, and the key to be freed');
  });

  test('who owes an answer is asked for no other lock until it comes', async () => {
    const ways = await links();
    const nodes = connect(ways.map(({ url }) => url));
    const redlock = new Redlock(nodes);
    await (await redlock.acquire([fresh()], MINUTE)).release();
    const sends = nodes.map((node) => vi.spyOn(node, 'sendCommand'));
    const once = (options = {}) => outcome(redlock.acquire([fresh()], MINUTE, { retry: ONCE, ...options }));
    for (const way of ways) way.partition('both');
    for (let caller = 0; caller < 20; caller++) expect((await once()).error).toBeInstanceOf(QuorumUnreachableError);
    const asked = sends.map(({ mock }) => mock.calls.filter(([{ name }]) => name === 'set').length);
    expect(asked, 'requests of 20 callers to each node').toEqual([1, 1, 1, 1, 1]);
    for (const way of ways) way.heal();
    await until(async () => (await once()).error === undefined, { what: 'a lock from nodes that answer again' });
    const leaving = new AbortController();
    const left = once({ signal: leaving.signal });
    leaving.abort();
    await left;
    expect((await once()).error, 'after somebody who did not wait for the answers').toBeUndefined();
  });

  test('who waits longer asks a node that was silent for somebody with less patience', async () => {
    const ways = await links();
    const redlock = lock(
      { retry: ONCE },
      ways.map(({ url }) => url),
    );
    await (await redlock.acquire([fresh()], MINUTE)).release();
    for (const way of ways) way.partition('both');
    const hasty = await outcome(redlock.acquire([fresh()], MINUTE, { nodeTimeoutMs: 5 }));
    expect(hasty.error).toBeInstanceOf(QuorumUnreachableError);
    const patient = outcome(redlock.acquire([fresh()], MINUTE, PATIENT));
    for (const way of ways) way.heal();
    expect((await patient).error, 'of nodes that answer within its own limit').toBeUndefined();
  });

  test('no request waits in memory for a node whose connection has broken', async () => {
    const key = fresh();
    const [link] = await links();
    const [dark, ...others] = connect([String(link?.url), ...urls.slice(1)], { silentMs: 200 });
    if (!dark) return expect.fail('no node');
    const redlock = new Redlock([dark, ...others]);
    await using _held = await redlock.acquire([key], MINUTE);
    link?.partition('both');
    const attempt = () => outcome(redlock.acquire([key], MINUTE, { retry: ONCE }));
    const seen = async (...statuses: string[]) => {
      const now = dark.status;
      await attempt();
      return statuses.includes(now);
    };
    await until(() => seen('close', 'reconnecting'), { what: 'a connection that has broken' });
    await until(() => ['connecting', 'connect'].includes(dark.status), { what: 'it to be tried again' });
    const sends = vi.spyOn(dark, 'sendCommand');
    await attempt();
    expect(sends.mock.calls.filter(([{ name }]) => name === 'set').length, 'requests for the lock').toBe(0);
    link?.heal();
    await until(() => dark.status === 'ready', { timeoutMs: 3_000, what: 'the connection to be back' });
    await attempt();
    expect(
      sends.mock.calls.some(([{ name }]) => name === 'set'),
      'asked again',
    ).toBe(true);
    const outage = await links();
    const lost = connect(outage.map(({ url }) => url));
    await Promise.all(outage.map((gone) => gone[Symbol.asyncDispose]()));
    const ask = () => outcome(new Redlock(lost).acquire([key], MINUTE, { retry: ONCE }));
    const broken = () => lost.every(({ status }) => ['close', 'reconnecting'].includes(status));
    await until(async () => broken() && (await ask()), { what: 'all connections to have broken' });
    const sent = lost.map((node) => vi.spyOn(node, 'sendCommand'));
    await ask();
    expect(sent.flatMap((send) => send.mock.calls).length, 'requests while no node is connected').toBe(0);
  });

  test('no request waits in memory for a node that is still loading its data: it is asked, and its refusal leaves nothing to free', async () => {
    await using link = await stillLoading(urls[0] ?? '');
    const [node] = connect([link.url]);
    if (!node) return expect.fail('no node');
    const redlock = new Redlock([node], { nodeTimeoutMs: 1_000, retry: ONCE });
    await (await redlock.acquire([fresh()], MINUTE)).release();
    const loading = Object.assign(new Error('LOADING Redis is loading the dataset in memory'), { name: 'ReplyError' });
    const sends = vi.spyOn(node, 'sendCommand').mockImplementation((command) => {
      command.reject(loading);
      return command.promise;
    });
    await expect(redlock.acquire([fresh()], MINUTE)).rejects.toThrow(QuorumUnreachableError);
    await nextTurn();
    expect(sends, 'what is sent to a node that does nothing').toHaveBeenCalledTimes(1);
  });

  test('a split vote among an even number of nodes is refused in bounded time', async () => {
    const key = fresh();
    const nodes = connect(urls.slice(0, 4));
    await Promise.all(nodes.slice(0, 2).map((node) => node.set(key, 'rival')));
    const { error } = await outcome(new Redlock(nodes, PATIENT).acquire([key], MINUTE, { retry: ONCE }));
    expect(error).toBeInstanceOf(LockHeldError);
  });

  test('one node down and one key of a stranger do not keep the lock from its majority', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const key = fresh();
    const nodes = connect(urls.slice(0, 3));
    await nodes[1]?.set(key, 'stranger', 'PX', 150);
    await withDown(1, 'kill', async () => {
      const { value } = await outcome(
        new Redlock(nodes).acquire([key], 3_000, { retry: { delayMs: 10, jitterMs: 20 } }),
      );
      expect(value?.remaining()).toBeGreaterThan(0);
      await value?.release();
    });
  });

  // ── extension ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('using keeps the lock for longer than its TTL, and not for longer than its routine', async () => {
    const key = fresh();
    const nodes = connect();
    const { manual, clock } = handClock();
    const redlock = new Redlock(nodes, { clock, nodeTimeoutMs: MINUTE / 2 });
    const answer = await redlock.using([key], MINUTE, async (signal, lease) => {
      for (let half = 0; half < 4; half++) {
        await Promise.all(nodes.map((node) => node.pexpire(key, MINUTE / 3)));
        await manual.advance(MINUTE / 2);
        await until(() => lease.remaining() > MINUTE * 0.9, { what: 'an extension' });
        await until(async () => Number(await nodes[0]?.pttl(key)) > MINUTE / 2, { what: 'an extension on a node' });
      }
      expect(signal.aborted).toBe(false);
      return 'done' as const;
    });
    expect(answer).toBe('done');
    expect(await keysLeft(nodes, key), 'keys once the routine has ended').toBe(0);
    const sends = nodes.map((node) => vi.spyOn(node, 'sendCommand'));
    await manual.advance(12 * MINUTE);
    expect(sends.flatMap((send) => send.mock.calls).length, 'requests in twelve TTLs after the routine').toBe(0);
  });

  test('a longer lease that the routine has asked for is kept as well, and using takes none of it back', async () => {
    const key = fresh();
    const nodes = connect();
    const { manual, clock } = handClock();
    const redlock = new Redlock(nodes, { clock, nodeTimeoutMs: MINUTE / 2 });
    await redlock.using([key], MINUTE, async (signal, lease) => {
      await manual.advance(lease.remaining() - MINUTE / 2 - 500);
      // Its answers are on their way when the lock's own extension follows.
      const answers = Promise.withResolvers<void>();
      const slow = nodes.map((node) => {
        const send = node.sendCommand.bind(node);
        const late: typeof send = (...request) => answers.promise.then(() => send(...request));
        return vi.spyOn(node, 'sendCommand').mockImplementation(late);
      });
      const longer = lease.extend(10 * MINUTE);
      await manual.advance(1_000);
      answers.resolve();
      await longer;
      for (const spy of slow) spy.mockRestore();
      await manual.advance(MINUTE / 2);
      await nodes[0]?.ping();
      expect(lease.remaining(), 'a minute after the routine has asked for ten').toBeGreaterThan(8 * MINUTE);
      await lease.extend(MINUTE);
      const end = lease.validUntil;
      await manual.advance(MINUTE / 2);
      await until(() => lease.validUntil > end, { timeoutMs: 3_000, what: 'an extension once it is a minute again' });
      expect(signal.aborted).toBe(false);
    });
    const short = redlock.using(
      [key],
      500,
      async (signal, lease) => {
        await lease.extend(MINUTE);
        const end = lease.validUntil;
        await manual.advance(lease.remaining() - 300);
        expect(signal.reason, 'why a short lease, once extended for a minute, has ended').toBeUndefined();
        await until(() => lease.validUntil > end, { timeoutMs: 3_000, what: 'an extension at the end of the minute' });
      },
      { nodeTimeoutMs: 500 },
    );
    expect((await outcome(short)).error).toBeUndefined();
  });

  test('the routine is told when its majority is lost', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const redlock = lock();
    const routine = vi.fn();
    const running = redlock.using([fresh()], 300, async (signal) => {
      await withDown(3, 'kill', () => until(() => signal.aborted).then(() => {}));
      routine(signal.reason);
    });
    await expect(running).rejects.toThrow(LeaseLostError);
    expect(routine).toHaveBeenCalledWith(expect.any(LeaseLostError));
  });

  test('a lease can be extended until it ends, and not after', async () => {
    const { manual, clock } = handClock();
    const lease = await lock({ clock }).acquire([fresh()], MINUTE, { driftFactor: 0.1 });
    await manual.advance(MINUTE / 2);
    await lease.extend(MINUTE);
    expect(lease.remaining(), 'with the drift that it was acquired with').toBe(MINUTE - MINUTE * 0.1 - 2);
    // Its signal has aborted, and the nodes still have its keys.
    await manual.advance(lease.remaining() - 100);
    await expect(lease.extend(MINUTE)).rejects.toThrow(LeaseLostError);
    expect(await lease.release(), 'a release that comes after the signal').toBe('expired');
    // In a process that stood still no alarm has rung.
    let now = 0;
    const stalled = await lock({ clock: { mono: () => now, after: () => () => {} } }).acquire([fresh()], MINUTE);
    now = stalled.validUntil - 1;
    expect(() => stalled.throwIfEnded()).not.toThrow();
    now = stalled.validUntil + MINUTE;
    expect(stalled.remaining()).toBe(0);
    expect(() => stalled.throwIfEnded()).toThrow(LeaseLostError);
  });

  test('of two extensions that overlap the one asked last decides how long the holder believes', async () => {
    const key = fresh();
    const nodes = connect();
    const lease = await new Redlock(nodes, { nodeTimeoutMs: 100 }).acquire([key], 4_000);
    loseAnswers(nodes, 300);
    const [longer, shorter] = await Promise.all([outcome(lease.extend(10_000)), outcome(lease.extend(300))]);
    expect(longer.error).toBeUndefined();
    expect(shorter.error).toBeInstanceOf(QuorumUnreachableError);
    expect(lease.remaining()).toBeLessThanOrEqual(300);
    await using _next = await lock().acquire([key], MINUTE, { retry: { delayMs: 5, jitterMs: 5 } });
    expect(lease.remaining(), 'what the first believes when another holds the lock').toBe(0);
    expect(lease.signal.aborted).toBe(true);
  });

  test('an extension that comes late undoes no later one', async () => {
    const { clock } = handClock();
    const [key, nodes, others] = [fresh(), connect(urls.slice(0, 3)), connect(urls.slice(0, 3))];
    const lease = await new Redlock(nodes, { clock }).acquire([key], MINUTE);
    await onNodes(others, key, lease.token);
    const late: (() => Promise<unknown>)[] = [];
    const extend = async (ttlMs: number, cutOff: number) => {
      for (const node of nodes.slice(0, cutOff)) {
        // The connection breaks, and the network keeps what was sent on it.
        vi.spyOn(node, 'sendCommand').mockImplementationOnce(({ name, args }) => {
          const other = others[nodes.indexOf(node)];
          late.push(async () => other?.call(name, ...args.map(String)));
          return Promise.reject(new Error('Connection is closed.'));
        });
      }
      return outcome(lease.extend(ttlMs));
    };
    const held = async () => {
      const ttls = await Promise.all(others.map((node) => node.pttl(key)));
      return ttls.sort((a, b) => b - a)[1] ?? 0;
    };
    for (const cutOff of [1, 3]) {
      const { error } = await extend(1_000, cutOff);
      expect(error instanceof QuorumUnreachableError).toBe(cutOff === 3);
      expect((await extend(2 * MINUTE, 0)).error).toBeUndefined();
      await Promise.all(late.splice(0).map((arrive) => arrive()));
      expect(lease.remaining(), 'what the holder believes').toBeGreaterThan(MINUTE);
      expect(await held(), 'what a majority holds').toBeGreaterThan(MINUTE);
    }
    sendAgain(nodes, others);
    expect((await outcome(lease.extend(MINUTE))).error, 'sent again').toBeUndefined();
    // The number is no part of the token.
    expect(await lease.release()).toBe('released');
    await gone(key, 'the release of all nodes');
  });

  test('a node that is out of memory takes no new lock, and extends and frees those that it has', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const nodes = connect();
    const lease = await new Redlock(nodes).acquire([fresh()], MINUTE);
    const limit = (bytes: number) => Promise.all(nodes.map((node) => node.config('SET', 'maxmemory', bytes)));
    await limit(1);
    try {
      const { error } = await outcome(lock().acquire([fresh()], MINUTE, { retry: ONCE }));
      expect(error).toBeInstanceOf(QuorumUnreachableError);
      await lease.extend(2 * MINUTE);
      expect(lease.remaining()).toBeGreaterThan(MINUTE);
      expect(await lease.release()).toBe('released');
    } finally {
      await limit(0);
    }
  });

  test('an extension is what a majority says of it', async () => {
    const votes = async (forgotten: number, silent: number) => {
      const [key, nodes] = [fresh(), connect()];
      const lease = await new Redlock(nodes, { nodeTimeoutMs: silent > 0 ? 100 : 2_000 }).acquire([key], MINUTE);
      await onAllNodes(key, lease.token);
      await Promise.all(nodes.slice(0, forgotten).map((node) => node.del(key)));
      loseAnswers(nodes.slice(forgotten, forgotten + silent), key);
      const former = lease.validUntil;
      const { error } = await outcome(lease.extend(2 * MINUTE));
      const kept = !lease.signal.aborted && lease.validUntil === former;
      return { error, kept, released: await lease.release() };
    };
    const [silence, mixed, forgotten, minority] = await Promise.all([
      votes(0, 3),
      votes(2, 1),
      votes(3, 0),
      votes(2, 0),
    ]);
    expect(silence.error).toBeInstanceOf(QuorumUnreachableError);
    expect(silence).toMatchObject({ kept: true, released: 'unconfirmed' });
    expect(mixed.error).toBeInstanceOf(QuorumUnreachableError);
    expect(mixed).toMatchObject({ kept: true, released: 'unconfirmed' });
    expect(forgotten.error).toBeInstanceOf(LeaseLostError);
    expect(forgotten).toMatchObject({ kept: false, released: 'expired' });
    expect(minority).toMatchObject({ error: undefined, released: 'released' });
  });

  test('a lease that is lost is kept no longer, though its routine goes on', async () => {
    const { manual, clock } = handClock();
    const [key, nodes] = [fresh(), connect()];
    const running = new Redlock(nodes, { clock, ...PATIENT }).using([key], MINUTE, async (signal, lease) => {
      await onAllNodes(key, lease.token);
      await Promise.all(connect(urls.slice(0, 3)).map((node) => node.del(key)));
      await manual.advance(MINUTE / 2);
      await until(() => signal.aborted, { what: 'the routine to be told' });
      await manual.advance(0);
      expect(manual.pending, 'timers that wait for a next extension').toBe(0);
    });
    await expect(running).rejects.toBeInstanceOf(LeaseLostError);
  });

  test('a routine may release its lease; what a majority had forgotten by then was lost', async () => {
    const key = fresh();
    const early = await lock(PATIENT).using([key], MINUTE, async (_, lease) => lease.release());
    expect(early).toBe('released');
    // One of its two keys is enough.
    const forgetful = lock(PATIENT).using([fresh(), key], MINUTE, async (_, lease) => {
      await onAllNodes(key, lease.token);
      await Promise.all(connect(urls.slice(0, 3)).map((node) => node.del(key)));
    });
    await expect(forgetful).rejects.toThrow(LeaseLostError);
  });

  test('a release that fails does not hide the error of the routine', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const redlock = lock();
    const failing = redlock.using([fresh()], MINUTE, async () => {
      await Promise.all(redis.nodes.map((node) => node.kill()));
      throw new Error('out of lockers');
    });
    await expect(failing).rejects.toThrow('out of lockers');
    await Promise.all(redis.nodes.map((node) => node.restart()));
  });

  // ── the end of a lease ────────────────────────────────────────────────────────────────────────────────────────────

  test('a bad TTL does not shorten the lease that it was meant to extend', async () => {
    await using lease = await lock().acquire([fresh()], MINUTE);
    const before = lease.validUntil;
    await expect(lease.extend(-1)).rejects.toThrow(InvalidArgumentError);
    expect(lease.validUntil).toBe(before);
  });

  test('a second release has the outcome of the first and sends nothing', async () => {
    const nodes = connect();
    const lease = await new Redlock(nodes, PATIENT).acquire([fresh()], MINUTE);
    expect(await lease.release()).toBe('released');
    const sends = nodes.map((node) => vi.spyOn(node, 'sendCommand'));
    expect(await lease.release()).toBe('released');
    expect(sends.every((send) => send.mock.calls.length === 0)).toBe(true);
    await expect(lease.extend(MINUTE)).rejects.toThrow(LeaseReleasedError);
    expect(lease.remaining()).toBe(0);
  });

  test('a release that is lost with a connection is sent again, where the node may have the key', async () => {
    const { manual, clock } = handClock();
    const [key, nodes, others] = [fresh(), connect(), connect()];
    const [restarted, absent] = nodes;
    if (!restarted || !absent) return expect.fail('no nodes');
    await Promise.all(nodes.map((node) => node.ping()));
    const redlock = new Redlock(nodes, { clock, ...PATIENT });
    // It isn't there when the lock is granted, so it has nothing to free. Who asks has seen that its connection broke.
    absent.status = 'reconnecting';
    const lease = await redlock.acquire([key], MINUTE);
    absent.status = 'ready';
    await until(async () => (await keysLeft(others, key)) === 4, { what: 'four nodes to have the key' });
    const sends = [restarted, absent].map((node) =>
      vi.spyOn(node, 'sendCommand').mockImplementationOnce(() => Promise.reject(new Error('Connection is closed.'))),
    );
    expect(await lease.release()).toBe('released');
    for (let step = 0; step < 20; step++) {
      await manual.advance(100);
      await Promise.all(nodes.map((node) => node.ping()));
    }
    expect(await keysLeft(others, key), 'keys that are left for a whole TTL').toBe(0);
    const [, asked] = sends.map(({ mock }) => mock.calls.filter(([{ name }]) => name === 'eval').length);
    expect(asked, 'requests to a node that has nothing to free').toBe(1);
  });

  test('a release that finds nothing, on the connection that took the lock, is not sent again', async () => {
    const { manual, clock } = handClock();
    const [key, nodes, others] = [fresh(), connect(), connect()];
    await Promise.all(nodes.map((node) => node.ping()));
    const lease = await new Redlock(nodes, { clock, ...PATIENT }).acquire([key], MINUTE);
    await onNodes(others, key, lease.token);
    await others[0]?.del(key);
    const sends = nodes.map((node) => vi.spyOn(node, 'sendCommand'));
    expect(await lease.release()).toBe('released');
    for (let step = 0; step < 5; step++) {
      await manual.advance(100);
      await Promise.all(others.map((node) => node.ping()));
    }
    const asked = sends.map(({ mock }) => mock.calls.filter(([{ name }]) => name === 'eval').length);
    expect(asked, 'requests to each node').toEqual([1, 1, 1, 1, 1]);
  });

  test('a request for the lock that comes later than its release is undone as well', async () => {
    const { manual, clock } = handClock();
    const [key, nodes, others] = [fresh(), connect(), connect()];
    const [last, other] = [nodes[4], others[4]];
    if (!last || !other) return expect.fail('no nodes');
    await Promise.all([...nodes, ...others].map((node) => node.ping()));
    // The network keeps what was sent on a connection that breaks while the lock is held.
    let arrive = async (): Promise<unknown> => expect.fail('not asked');
    vi.spyOn(last, 'sendCommand').mockImplementationOnce(({ name, args }) => {
      arrive = () => other.call(name, ...args.map(String));
      return once(last, 'close').then(() => Promise.reject(new Error('Connection is closed.')));
    });
    const lease = await new Redlock(nodes, { clock, ...PATIENT }).acquire([key], MINUTE);
    const back = once(last, 'ready');
    last.disconnect(true);
    await back;
    expect(await lease.release()).toBe('released');
    // The new connection has answered the release by then.
    await last.ping();
    await arrive();
    expect(await keysLeft(others, key), 'keys that have come late').toBe(1);
    for (let step = 0; step < 20; step++) {
      await manual.advance(100);
      await last.ping();
    }
    expect(await keysLeft(others, key), 'keys that are left for a whole TTL').toBe(0);
  });

  test('a release waits for a node that is connecting anew, and not in its queue: it is sent once the node is back', async () => {
    const { manual, clock } = handClock();
    const [nodes, others] = [connect(), connect()];
    const [hung] = nodes;
    if (!hung) return expect.fail('no node');
    await Promise.all(nodes.map((node) => node.ping()));
    const redlock = new Redlock(nodes, { clock, ...PATIENT });
    const key = fresh();
    const lease = await redlock.acquire([key], MINUTE);
    await onNodes(others, key, lease.token);
    const sends = vi.spyOn(hung, 'sendCommand');
    hung.status = 'connecting';
    const wait = async () => {
      for (let step = 0; step < 20; step++) {
        await manual.advance(100);
        await Promise.all(nodes.slice(1).map((node) => node.ping()));
      }
    };
    expect(await lease.release()).toBe('released');
    expect(await (await redlock.acquire([fresh()], MINUTE)).release()).toBe('released');
    await wait();
    expect(sends, 'requests that wait in memory').not.toHaveBeenCalled();
    hung.status = 'ready';
    await wait();
    await hung.ping();
    expect(await keysLeft(others, key), 'keys that are left for a whole TTL').toBe(0);
  });

  test('a node that could not be connected is sent nothing, though nobody looked when its connection failed', async () => {
    const nodes = connect([...urls.slice(1), 'redis://127.0.0.1:1']);
    const absent = nodes.at(-1);
    if (!absent) return expect.fail('no node');
    await new Promise((resolve) => absent.once('reconnecting', resolve));
    absent.status = 'connecting';
    const sends = vi.spyOn(absent, 'sendCommand');
    expect(await (await new Redlock(nodes, PATIENT).acquire([fresh()], MINUTE)).release()).toBe('released');
    expect(sends, 'requests that wait in memory').not.toHaveBeenCalled();
  });

  test('a clean-up goes behind a request that a client of the caller keeps until its node is there', async () => {
    const { manual, clock } = handClock();
    const [key, others] = [fresh(), connect()];
    const patient = { lazyConnect: true, maxRetriesPerRequest: null, retryStrategy: () => 200 };
    const nodes = urls.map((url) => new Redis(url, patient));
    onTestFinished(() => {
      for (const node of nodes) node.disconnect();
    });
    const redlock = new Redlock(nodes, { clock });
    const refused = nodes.map((node) => {
      const { port } = node.options;
      // Nothing listens there.
      node.options.port = 1;
      node.on('error', () => {});
      return new Promise((resolve) => {
        node.once('reconnecting', () => resolve(Object.assign(node.options, { port })));
      });
    });
    const asking = outcome(redlock.acquire([key], MINUTE, { retry: ONCE }));
    await Promise.all(refused);
    await manual.advance(50);
    expect((await asking).error).toBeInstanceOf(QuorumUnreachableError);
    // They come when the key would have ended.
    await manual.advance(2 * MINUTE);
    await Promise.all(nodes.map((node) => node.ping()));
    expect(await keysLeft(others, key), 'keys that are left for a whole TTL').toBe(0);
  });

  test('a release that is lost is sent again for as long as an extension without an answer may keep the key', async () => {
    const { manual, clock } = handClock();
    const [key, nodes, others] = [fresh(), connect(), connect()];
    await Promise.all(nodes.map((node) => node.ping()));
    const lease = await new Redlock(nodes, { clock, nodeTimeoutMs: 1_000 }).acquire([key], 5_000);
    await onNodes(others, key, lease.token);
    loseAnswers(nodes, MINUTE);
    const extending = outcome(lease.extend(MINUTE));
    const kept = async () => (await Promise.all(others.map((node) => node.pttl(key)))).every((ms) => ms > 5_000);
    await until(kept, { what: 'all nodes to have extended it' });
    await manual.advance(1_000);
    expect((await extending).error).toBeInstanceOf(QuorumUnreachableError);
    await manual.advance(5_000);
    for (const node of nodes) {
      vi.spyOn(node, 'sendCommand').mockImplementationOnce(() => Promise.reject(new Error('Connection is closed.')));
    }
    expect(await lease.release()).toBe('expired');
    await manual.advance(100);
    await gone(key, 'a key that nobody has a lease on any more to be freed');
  });

  test('who aborts gets his own reason at once, and leaves no key', async () => {
    const key = fresh();
    const nodes = connect();
    const reason = new Error('the customer went home');
    const leave = async (maxMs: number, leaves: () => unknown) => {
      const cancel = new AbortController();
      const asking = lock(PATIENT).acquire([key], MINUTE, { retry: { maxMs }, signal: cancel.signal });
      await leaves();
      cancel.abort(reason);
      expect((await outcome(asking)).error).toBe(reason);
      expect(getEventListeners(cancel.signal, 'abort')).toEqual([]);
    };
    await leave(0, () => {});
    await until(async () => (await keysLeft(nodes, key)) === 0, { what: 'a lock that nobody wants to be freed' });
    const held = await lock().acquire([key], MINUTE);
    await leave(0, () => {});
    await leave(MINUTE, () => until(() => keysLeft(nodes, key)));
    await held.release();
    await until(async () => (await keysLeft(nodes, key)) === 0);
    const mute = connect();
    loseAnswers(mute, key);
    const cancel = new AbortController();
    const asking = new Redlock(mute, { nodeTimeoutMs: MINUTE }).acquire([key], MINUTE, { signal: cancel.signal });
    await until(() => keysLeft(nodes, key));
    cancel.abort(reason);
    expect((await outcome(asking)).error, 'while a majority hangs').toBe(reason);
    expect(getEventListeners(cancel.signal, 'abort')).toEqual([]);
    await until(async () => (await keysLeft(nodes, key)) === 0, { what: 'what nobody waits for to be freed' });
  });

  test('a call leaves nothing behind on a signal that outlives it', async () => {
    setFlagsFromString('--expose-gc');
    const gc: () => void = runInNewContext('gc');
    const longLived = new AbortController();
    const redlock = lock();
    const seen: WeakRef<AbortSignal>[] = [];
    for (let call = 0; call < 3; call++) {
      await redlock.using(
        [fresh()],
        MINUTE,
        (signal) => {
          signal.addEventListener('abort', () => {});
          seen.push(new WeakRef(signal));
        },
        { signal: longLived.signal },
      );
    }
    expect(getEventListeners(longLived.signal, 'abort')).toEqual([]);
    const kept = () => {
      gc();
      return seen.filter((signal) => signal.deref()).length;
    };
    await until(() => kept() === 0, { what: 'the signals of calls that have ended to be forgotten' });
    const told = redlock.using([fresh()], MINUTE, (signal) => until(() => signal.aborted).then(() => signal.reason), {
      signal: longLived.signal,
    });
    longLived.abort('enough');
    expect((await outcome(told)).error ?? (await told)).toBe('enough');
  });

  test('a refusal says who voted how, and comes when retry.maxMs has passed', async () => {
    const key = fresh();
    await using _held = await lock().acquire([key], MINUTE);
    let now = 0;
    const clock: Clock = {
      mono: () => now,
      // Each pause passes at once; no answer is waited for as long as a node may take.
      after: (ms, callback) => {
        if (ms === 100) queueMicrotask(() => callback());
        if (ms === 100) now += ms;
        return () => {};
      },
    };
    const retry = { maxMs: 1_000, delayMs: 100, jitterMs: 0 };
    const { error } = await outcome(lock({ clock, ...PATIENT }).acquire([key], MINUTE, { retry }));
    expect(error).toBeInstanceOf(LockHeldError);
    expect(String(error)).toMatch(/held by another.*node 0: .*node \d: no.*node 4: /);
    expect(error).toHaveProperty('attempts', 11);
    // One says yes, one has the key of another, one is silent: nobody holds the lock, and the error doesn't say so.
    const [_, theirs, mute] = connect(urls.slice(0, 3));
    const split = fresh();
    await theirs?.set(split, 'stranger');
    loseAnswers(mute ? [mute] : [], split);
    const nodes = [_, theirs, mute].filter((node) => node !== undefined);
    const { error: torn } = await outcome(new Redlock(nodes).acquire([split], MINUTE, { retry: ONCE }));
    expect(String(torn)).toMatch(/node 0: yes, node 1: no, node 2: silent/);
    expect(String(torn)).not.toMatch(/held by another/);
  });

  test('what is not said is as the options say', async () => {
    const key = fresh();
    await using _held = await lock().acquire([key], MINUTE);
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    onTestFinished(() => void vi.restoreAllMocks());
    const refusal = async (ttlMs: number, options: ConstructorParameters<typeof Redlock>[1] = {}, own = {}) => {
      let now = 0;
      const [nodeTimeouts, pauses] = [new Set<number>(), new Set<number>()];
      const after: Clock['after'] = (ms, callback) => {
        (ms < 100 ? nodeTimeouts : pauses).add(ms);
        if (ms >= 100) queueMicrotask(() => callback());
        if (ms >= 100) now += ms;
        return () => {};
      };
      const asked = lock({ ...options, clock: { mono: () => now, after } }).acquire([key], ttlMs, own);
      const { error } = await outcome(asked);
      expect(error).toBeInstanceOf(LockHeldError);
      return [[...nodeTimeouts], [...pauses], error instanceof LockHeldError && error.attempts];
    };
    // A quarter of the TTL, at most 50 ms; pauses of 100 ms and half of 100 ms; no attempt after 5,000 ms.
    expect(await refusal(100)).toEqual([[25], [150], 34]);
    expect(await refusal(3), 'the shortest TTL').toEqual([[1], [150], 34]);
    const unsaid = { retry: { delayMs: undefined, maxMs: undefined } };
    expect(await refusal(100, { retry: { delayMs: 500, maxMs: 600 } }, unsaid)).toEqual([[25], [550], 2]);
    const general = { nodeTimeoutMs: 30, retry: { delayMs: 500, jitterMs: 100, maxMs: 600 } };
    const own = { nodeTimeoutMs: 7, retry: { delayMs: 200, jitterMs: 0, maxMs: 1_000 } };
    expect(await refusal(100, general, own), 'the call has the last word').toEqual([[7], [200], 6]);
    expect(await refusal(MINUTE, { retry: { delayMs: 5_000, jitterMs: 0 } })).toEqual([[50], [5_000], 2]);
    expect(await refusal(MINUTE, { retry: { delayMs: 5_001, jitterMs: 0 } })).toEqual([[50], [], 1]);
  });

  test('a database that is chosen on a node that never was connected is refused, and the process goes on', async () => {
    const unhandled = unhandledRejections();
    const [node] = connectNodes(urls.slice(0, 1));
    node?.disconnect();
    await expect(node?.select(1)).rejects.toThrow('closed');
    await nextTurn();
    expect(unhandled).not.toHaveBeenCalled();
  });

  test('a node whose database could not be chosen, as it was busy with a script, is no reason to lock in another', async ({
    skip,
  }) => {
    skip(!redis.faults, NOT_OURS);
    const url = urls[0] ?? '';
    const node = await whileBusy(url, async () => {
      const refused = Promise.withResolvers<Error>();
      const [node] = connectNodes([new URL('/2', url).href], { onError: refused.resolve });
      onTestFinished(() => node?.disconnect());
      expect((await refused.promise).message).toMatch(/^BUSY/);
      return node;
    });
    const info = await until(() => node?.client('INFO'));
    expect(info, 'where its commands go').toContain(' db=2 ');
  });

  test('a node that knows no HELLO is locked with the password and in the database of its URL', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const url = urls[0] ?? '';
    const [admin] = connect([url]);
    // Sends on all but that one word, which a Redis 5 doesn't know.
    await using front = await detour(() => redis.nodes[0], {
      asked: (bytes) => bytes.replace('$5\r\nhello', '$6\r\nxhello'),
    });
    await admin?.config('SET', 'requirepass', 'secret');
    try {
      const key = fresh();
      const nodes = connect([`redis://:secret@127.0.0.1:${front.port}/2`]);
      const lease = await new Redlock(nodes, PATIENT).acquire([key], MINUTE, { retry: { maxMs: 2_000 } });
      await admin?.select(2);
      expect(await admin?.get(key), 'the key in database 2').toBe(lease.token);
      await lease.release();
    } finally {
      await admin?.config('SET', 'requirepass', '');
    }
  });

  test('a node that has become a replica is left for a new connection', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const [node, admin] = connect([...urls.slice(0, 1), ...urls.slice(0, 1)]);
    if (!node || !admin) return expect.fail();
    await admin.replicaof('127.0.0.1', 1);
    try {
      const left = once(node, 'reconnecting');
      const { error } = await outcome(new Redlock([node]).acquire([fresh()], MINUTE, { retry: ONCE }));
      expect(String(error)).toMatch(/READONLY/);
      await outcome(left).then(({ error }) => expect(error).toBeUndefined());
    } finally {
      await admin.replicaof('NO', 'ONE');
    }
  });

  // ── many clients, many faults ─────────────────────────────────────────────────────────────────────────────────────

  test('fifty clients never hold one lock at once while nodes are killed, hung and cut off', async ({
    skip,
    signal: over,
  }) => {
    skip(!redis.faults, NOT_OURS);
    const TTL = 300;
    const keys = [fresh(), fresh(), fresh()];
    const proxies = await links();
    const history = new History<string>();
    const spans: { who: string; key: string; from: number; to: number }[] = [];
    const winners = new Set<string>();
    const victim = random(SEED).pick(redis.nodes);
    const faults = chaos({
      seed: SEED,
      nodes: redis.nodes.filter((node) => node !== victim),
      links: proxies.filter((_, index) => redis.nodes[index] !== victim),
      atMostDown: 1,
      faults: ['pause', 'partition'],
      everyMs: [20, 120],
    });
    onTestFinished(() => faults.stop());
    const start = performance.now();
    /** On a slow machine it takes longer until half of them have had a turn; on a very slow one fewer will do. */
    const goesOn = () => {
      const ms = performance.now() - start;
      return ms < 1_000 || (winners.size <= 25 && ms < 10_000) || spans.length <= 5;
    };
    const client = async (number: number) => {
      const who = `client ${number}`;
      const dice = random(SEED + number);
      // Every other client lives behind the network that gets cut.
      const redlock = lock(
        { nodeTimeoutMs: 100, retry: { maxMs: 2_000, delayMs: 5, jitterMs: 150 } },
        number % 2 ? proxies.map((proxy) => proxy.url) : urls,
      );
      while (!over.aborted && goesOn()) {
        const key = dice.pick(keys);
        const lease = await redlock.acquire([key], TTL).catch(() => delay(5));
        if (!lease) continue;
        const from = performance.now();
        winners.add(who);
        history.record(`${who} holds ${key}`);
        const wanted = dice.int(0, 6);
        await until(() => performance.now() - from >= wanted, { intervalMs: 1 });
        spans.push({ who, key, from, to: Math.min(performance.now(), lease.validUntil) });
        history.record(`${who} frees ${key}: ${await lease.release()}`);
      }
    };
    const clients = Array.from({ length: 50 }, (_, number) => client(number));
    await until(() => spans.length > 5, { timeoutMs: 20_000, what: 'six holders' });
    await victim.kill();
    const killed = performance.now();
    // A node without its data comes back no sooner than the locks that it forgot have run out.
    await until(() => performance.now() - killed > TTL + 20);
    await victim.restart();
    await Promise.all(clients);
    await faults.stop();
    expect(
      overlaps(spans).map(([a, b]) => `${a.who} and ${b.who} both hold ${a.key}\n${faults.log.join('\n')}`),
    ).toEqual([]);
  }, 60_000);
});
