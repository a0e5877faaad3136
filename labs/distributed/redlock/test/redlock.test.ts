import { setTimeout as delay } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { chaos, describeWith, History, ManualClock, outcome, overlaps, random, until } from '@shared/testkit';
import type { Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type Clock,
  connectNodes,
  ForeignLeaseError,
  InvalidArgumentError,
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
  const onAllNodes = async (key: string, token: string) => {
    const nodes = connect();
    await until(async () => (await holders(nodes, key)).every((found) => found === token), {
      what: `${key} everywhere`,
    });
  };
  /** Keys that the nodes still have. */
  const keysLeft = async (nodes: readonly Redis[], key: string) =>
    (await holders(nodes, key)).filter((token) => token !== null).length;
  const expired = async (key: string) => {
    const nodes = connect();
    await until(async () => (await keysLeft(nodes, key)) === 0, { what: `${key} to expire` });
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

  test('no lock is made of no node, or of one server twice', () => {
    expect(() => new Redlock([])).toThrow(InvalidArgumentError);
    expect(() => lock({}, [...urls.slice(0, 2), ...urls.slice(0, 1)])).toThrow(InvalidArgumentError);
  });

  test('what no lock can be made from is refused before anything is sent', async () => {
    const bad: [string, string[], number, ConstructorParameters<typeof Redlock>[1]?][] = [
      ['a TTL of 0', ['a'], 0],
      ['a negative TTL', ['a'], -5],
      ['a TTL that is not a number', ['a'], Number.NaN],
      ['a fraction of a millisecond', ['a'], 1.5],
      ['a TTL that the drift uses up', ['a'], 2],
      ['a TTL beyond any timer', ['a'], 2 ** 31],
      ['no resource', [], 1_000],
      ['an empty name', [''], 1_000],
      ['a resource twice', ['a', 'b', 'a'], 1_000],
      ['a negative wait', ['a'], 1_000, { retry: { maxMs: -1 } }],
      ['a node timeout above the TTL', ['a'], 1_000, { nodeTimeoutMs: 1_001 }],
      ['a drift factor of 1', ['a'], 1_000, { driftFactor: 1 }],
    ];
    const nodes = connect();
    const sends = nodes.map((node) => vi.spyOn(node, 'sendCommand'));
    for (const [what, resources, ttlMs, options] of bad) {
      const { error } = await outcome(new Redlock(nodes, options).acquire(resources, ttlMs));
      expect(error, what).toBeInstanceOf(InvalidArgumentError);
      expect(
        sends.flatMap((send) => send.mock.calls).filter(([command]) => command.name === 'set'),
        what,
      ).toEqual([]);
    }
  });

  // ── one holder ────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a lease leaves with its block', async () => {
    const key = fresh();
    const nodes = connect();
    {
      await using lease = await lock().acquire([key], MINUTE);
      await onAllNodes(key, lease.token);
    }
    await until(async () => (await keysLeft(nodes, key)) === 0);
  });

  test("a holder whose lock expired cannot release the next holder's lock", async () => {
    const key = fresh();
    const [a, b] = [lock(), lock()];
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

  test('a lock on fewer than a majority is not a lock', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const redlock = lock();
    await withDown(3, 'kill', async () => {
      await expect(redlock.acquire([fresh()], MINUTE, { retry: ONCE })).rejects.toThrow(QuorumUnreachableError);
    });
  });

  test('two of five nodes may be down', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const redlock = lock();
    await withDown(2, 'kill', async () => {
      const lease = await redlock.acquire([fresh()], MINUTE);
      expect(await lease.release()).toBe('released');
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
    expect(lease.remaining()).toBe(10_000 - 40 - (100 + 2));
    expect(lease.validUntil).toBe(5_000 + 10_000 - 102);
  });

  test('a majority that answers after the TTL is refused', async () => {
    let now = 0;
    const redlock = lock({ clock: { mono: () => now, after: () => () => {} } });
    const asking = redlock.acquire([fresh()], 10_000, { retry: ONCE });
    now += 10_001;
    const { error } = await outcome(asking);
    expect(error).toBeInstanceOf(TooLateError);
  });

  test('a wall clock that is set back does not lengthen a lease', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    await using lease = await lock().acquire([fresh()], 1_000);
    vi.setSystemTime(Date.now() - 60_000);
    expect(lease.remaining()).toBeLessThan(1_000);
  });

  test('the signal aborts before the lease ends', async () => {
    const { manual, clock } = handClock();
    const lease = await lock({ clock }).acquire([fresh()], MINUTE);
    const abortedAt = new Promise<number>((resolve) => {
      lease.signal.addEventListener('abort', () => resolve(clock.mono()));
    });
    await manual.advance(MINUTE);
    expect(await abortedAt).toBeLessThan(lease.validUntil);
    expect(lease.signal.reason).toBeInstanceOf(LeaseLostError);
    expect(lease.remaining()).toBe(0);
  });

  // ── nothing is left behind, nobody waits for ever ─────────────────────────────────────────────────────────────────

  test('a lock whose holder died is free after its TTL', async () => {
    const key = fresh();
    const dead = connect();
    await new Redlock(dead).acquire([key], 150);
    for (const node of dead) node.disconnect();
    await using lease = await lock().acquire([key], MINUTE, { retry: { delayMs: 5, jitterMs: 5 } });
    expect(lease.remaining()).toBeGreaterThan(0);
  });

  test('a failed acquire leaves no key on any node', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    const key = fresh();
    const nodes = connect();
    const redlock = new Redlock(nodes);
    await (await redlock.acquire([key], MINUTE)).release();
    await withDown(3, 'kill', async () => {
      await expect(redlock.acquire([key], MINUTE, { retry: ONCE })).rejects.toThrow(QuorumUnreachableError);
      // Asked on the same connections, so after whatever the acquire has sent.
      await until(async () => (await keysLeft(nodes, key)) === 0, { timeoutMs: 2_500, what: 'all keys to be gone' });
    });
  });

  test('a failed acquire also frees the nodes that answered too late', async () => {
    const key = fresh();
    const proxies = await links();
    const nodes = connect();
    const redlock = lock(
      { nodeTimeoutMs: 40 },
      proxies.map((proxy) => proxy.url),
    );
    await (await redlock.acquire([fresh()], MINUTE)).release();
    for (const proxy of proxies.slice(0, 3)) proxy.partition('down');
    await expect(redlock.acquire([key], MINUTE, { retry: ONCE })).rejects.toThrow(QuorumUnreachableError);
    await until(async () => (await keysLeft(nodes, key)) === 0, { timeoutMs: 2_500, what: 'all keys to be gone' });
  });

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
      const { value } = await outcome(new Redlock(nodes).acquire([key], 3_000));
      expect(value?.remaining()).toBeGreaterThan(0);
      await value?.release();
    });
  });

  // ── extension ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('using keeps the lock for longer than its TTL', async () => {
    const key = fresh();
    const rival = lock(PATIENT);
    const answer = await lock().using([key], 400, async (signal, lease) => {
      const start = performance.now();
      while (performance.now() - start < 1_000) {
        await expect(rival.acquire([key], MINUTE, { retry: ONCE })).rejects.toThrow(LockHeldError);
      }
      expect(signal.aborted).toBe(false);
      expect(lease.remaining()).toBeGreaterThan(0);
      return 'done' as const;
    });
    expect(answer).toBe('done');
    await (await rival.acquire([key], MINUTE)).release();
  });

  test('nothing is extended once the routine has ended', async () => {
    const nodes = connect();
    await new Redlock(nodes).using([fresh()], 60, () => until(() => true));
    await nodes[0]?.ping();
    const sends = vi.spyOn(nodes[0] ?? expect.fail(), 'sendCommand');
    const ended = performance.now();
    await until(() => performance.now() - ended > 200);
    expect(sends.mock.calls.length, 'requests in three TTLs after the routine ended').toBe(0);
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
    const lease = await lock({ clock }).acquire([fresh()], MINUTE);
    await manual.advance(MINUTE / 2);
    await lease.extend(MINUTE);
    expect(lease.remaining()).toBe(MINUTE - MINUTE * 0.01 - 2);
    await manual.advance(MINUTE);
    await expect(lease.extend(MINUTE)).rejects.toThrow(LeaseLostError);
  });

  test('an extension is refused when a majority has forgotten the lock', async () => {
    const key = fresh();
    const lease = await lock().acquire([key], MINUTE);
    await onAllNodes(key, lease.token);
    await Promise.all(connect(urls.slice(0, 3)).map((node) => node.del(key)));
    await expect(lease.extend(MINUTE)).rejects.toThrow(LeaseLostError);
    expect(lease.signal.aborted).toBe(true);
    expect(await lease.release()).toBe('expired');
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

  test('a lease of another Redlock is refused', async () => {
    const [ours, theirs] = [lock(), lock()];
    await using lease = await theirs.acquire([fresh()], MINUTE);
    await expect(ours.release(lease)).rejects.toThrow(ForeignLeaseError);
    await expect(ours.extend(lease, MINUTE)).rejects.toThrow(ForeignLeaseError);
    await theirs.extend(lease, MINUTE);
    expect(await theirs.release(lease)).toBe('released');
  });

  test('a second release has the outcome of the first and sends nothing', async () => {
    const nodes = connect();
    const lease = await new Redlock(nodes).acquire([fresh()], MINUTE);
    expect(await lease.release()).toBe('released');
    const sends = nodes.map((node) => vi.spyOn(node, 'sendCommand'));
    expect(await lease.release()).toBe('released');
    expect(sends.every((send) => send.mock.calls.length === 0)).toBe(true);
    await expect(lease.extend(MINUTE)).rejects.toThrow(LeaseReleasedError);
    expect(lease.remaining()).toBe(0);
  });

  test('a wait that is aborted ends at once with the reason and leaves no key', async () => {
    const key = fresh();
    const nodes = connect();
    const held = await lock().acquire([key], MINUTE);
    const cancel = new AbortController();
    const waiting = lock().acquire([key], MINUTE, { retry: { maxMs: MINUTE }, signal: cancel.signal });
    await until(() => keysLeft(nodes, key));
    cancel.abort(new Error('the customer went home'));
    const { error } = await outcome(waiting);
    expect(error).toEqual(new Error('the customer went home'));
    await held.release();
    await until(async () => (await keysLeft(nodes, key)) === 0);
  });

  test('a refusal says who voted how', async () => {
    const key = fresh();
    await using _held = await lock().acquire([key], MINUTE);
    const { error } = await outcome(
      lock(PATIENT).acquire([key], MINUTE, { retry: { maxMs: 60, delayMs: 10, jitterMs: 0 } }),
    );
    expect(error).toBeInstanceOf(LockHeldError);
    expect(String(error)).toMatch(/node 0: .*node \d: no.*node 4: /);
    expect(error).toHaveProperty(
      'attempts',
      expect.toSatisfy((attempts: number) => attempts > 1),
    );
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
    const client = async (number: number) => {
      const who = `client ${number}`;
      const dice = random(SEED + number);
      // Every other client lives behind the network that gets cut.
      const redlock = lock(
        { nodeTimeoutMs: 40, retry: { maxMs: 2_000, delayMs: 5, jitterMs: 40 } },
        number % 2 ? proxies.map((proxy) => proxy.url) : urls,
      );
      // On a slow machine it takes longer until half of them have had a turn.
      while (!over.aborted && (performance.now() - start < 1_500 || winners.size <= 25)) {
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
    await until(() => spans.length > 5, { timeoutMs: 4_000 });
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
  }, 30_000);
});
