import { getEventListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { describeWith, detour, outcome, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  ClusterRouter,
  CommandError,
  CrossSlotError,
  InvalidArgumentError,
  keySlot,
  OutcomeUnknownError,
  PartialWriteError,
  ReshardError,
  RouterClosedError,
  type RouterOptions,
  reshard,
  SlotUnavailableError,
  TooManyRedirectionsError,
  UnderReplicatedError,
} from '#lab';

await describeWith('redis-cluster', { redis: () => startRedis({ cluster: 6 }) }, ({ redis }) => {
  const addresses = redis.nodes.map(({ host, port }) => `${host}:${port}`);
  const admins = redis.nodes.map(({ url }) => new Redis(url));
  afterAll(() => {
    for (const admin of admins) admin.disconnect();
  });
  const primaries = admins.slice(0, 3);
  const adminOf = (address: string | undefined): Redis => {
    const admin = admins[addresses.indexOf(address ?? '')];
    if (admin === undefined) throw new Error(`no node is at ${address}`);
    return admin;
  };
  const routed = (options?: RouterOptions, seeds = addresses.slice(0, 1)) => {
    const router = new ClusterRouter(seeds, options);
    onTestFinished(() => router.close());
    return router;
  };
  let last = 0;
  const fresh = () => `tag${++last}`;
  /** A tag in a slot of the node, as the cluster is now. */
  const tagAt = async (node: number) => {
    const reply = await admins[0]?.cluster('SLOTS');
    const ranges = (reply ?? []).filter((range) => range[2]?.[1] === redis.nodes[node]?.port);
    for (;;) {
      const tag = fresh();
      if (ranges.some(([from, to]) => from <= keySlot(tag) && keySlot(tag) <= to)) return tag;
    }
  };
  /** How often the nodes have answered so since the start. */
  const answered = async (what: 'MOVED' | 'ASK') => {
    const texts = await Promise.all(primaries.map((admin) => admin.info('errorstats')));
    return texts
      .map((text) => Number(new RegExp(`errorstat_${what}:count=(\\d+)`).exec(text)?.[1] ?? 0))
      .reduce((a, b) => a + b);
  };
  const counting = async <T>(work: () => Promise<T>) => {
    const before = [await answered('MOVED'), await answered('ASK')];
    const result = await work();
    const [moved = 0, asked = 0] = [await answered('MOVED'), await answered('ASK')];
    return { result, moved: moved - (before[0] ?? 0), asked: asked - (before[1] ?? 0) };
  };
  const settle = async (slot: number, to: number) => {
    for (const admin of [primaries[to], ...primaries]) {
      await admin?.cluster('SETSLOT', slot, 'NODE', redis.nodes[to]?.id ?? '');
    }
  };
  /** Gives a slot to another node, with an epoch of its own: a late word of the old owner must not take it back. */
  const assign = async (slot: number, from: number, to: number) => {
    await primaries[to]?.cluster('SETSLOT', slot, 'IMPORTING', redis.nodes[from]?.id ?? '');
    await settle(slot, to);
  };
  /** The slot of `tag` on its way from one node to another: what is in `moved` has arrived. */
  const halfMoved = async (tag: string, from: number, to: number, moved: readonly string[]) => {
    const [source, target] = [adminOf(addresses[from]), adminOf(addresses[to])];
    await target.cluster('SETSLOT', keySlot(tag), 'IMPORTING', redis.nodes[from]?.id ?? '');
    await source.cluster('SETSLOT', keySlot(tag), 'MIGRATING', redis.nodes[to]?.id ?? '');
    if (moved.length > 0)
      await source.call('MIGRATE', '127.0.0.1', redis.nodes[to]?.port ?? 0, '', 0, 5_000, 'KEYS', ...moved);
    onTestFinished(async () => {
      const left = await source.cluster('GETKEYSINSLOT', keySlot(tag), 1_000);
      if (left.length > 0) await source.del(...left.map(String));
      await settle(keySlot(tag), to);
    });
  };
  const proxied = async () => {
    const links = await Promise.all(redis.nodes.map((node) => node.proxy()));
    onTestFinished(() => Promise.all(links.map((link) => link[Symbol.asyncDispose]())).then(() => {}));
    const translate = (address: string) => {
      const link = links[addresses.indexOf(address)];
      return link ? new URL(link.url).host : address;
    };
    return { links, translate };
  };

  // ── the router ────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a command finds the node that has its slot, and of a slot that has moved it hears once', async () => {
    const router = routed();
    const keys = Array.from({ length: 30 }, fresh);
    const first = await counting(() => Promise.all(keys.map((key) => router.call('SET', [key, `of ${key}`]))));
    expect(first.moved, 'MOVED answers, with a map that is right').toBe(0);
    const owners = router.owners();
    for (const key of keys) expect(await adminOf(owners[keySlot(key)]).get(key), key).toBe(`of ${key}`);
    const tag = await tagAt(0);
    await assign(keySlot(tag), 0, 1);
    const moved = await counting(async () => {
      for (let n = 0; n < 6; n++) await router.call('INCR', [tag]);
      return router.call('GET', [tag]);
    });
    expect(moved.result, 'six increments').toBe('6');
    expect(moved.moved, 'MOVED answers to seven commands').toBe(1);
    expect(await primaries[1]?.get(tag), 'the value at its new node').toBe('6');
  });

  test('while a slot moves, ASK sends one command on, and the map stays as it is', async () => {
    const router = routed();
    const tag = await tagAt(0);
    const [gone, stays, made] = [`{${tag}}gone`, `{${tag}}stays`, `{${tag}}made`];
    await router.call('MSET', [gone, 'arrived', stays, 'still here']);
    await halfMoved(tag, 0, 1, [gone]);
    const { result, moved, asked } = await counting(async () => {
      const seen: unknown[] = [];
      for (let n = 0; n < 3; n++) seen.push(await router.call('GET', [gone]), await router.call('GET', [stays]));
      await router.call('SET', [made, 'new']);
      return seen;
    });
    expect(result, 'what was read').toEqual(Array.from({ length: 3 }, () => ['arrived', 'still here']).flat());
    expect({ moved, asked }, 'answers of the nodes').toEqual({ moved: 0, asked: 4 });
    expect(await adminOf(addresses[1]).cluster('COUNTKEYSINSLOT', keySlot(tag)), 'keys that have arrived').toBe(2);
  });

  test('of a hundred commands at once that are sent on, each has its own ASKING', async () => {
    const router = routed();
    const tag = await tagAt(0);
    await halfMoved(tag, 0, 2, []);
    const calls = Array.from({ length: 100 }, () => router.call('INCR', [`{${tag}}count`]));
    const failed = (await Promise.allSettled(calls)).filter(({ status }) => status === 'rejected');
    expect(
      failed.map((each) => (each.status === 'rejected' ? String(each.reason) : '')).slice(0, 1),
      'the first error',
    ).toEqual([]);
    expect(await router.call('GET', [`{${tag}}count`])).toBe('100');
  });

  test('keys of any slots are read and written by one command a slot, in the order asked', async () => {
    const router = routed();
    const keys = Array.from({ length: 60 }, (_, n) => (n % 3 === 0 ? `{page}${n}` : fresh()));
    await router.msetAcross(keys.map((key) => [key, `of ${key}`]));
    const asked = [...keys.toReversed(), 'nobody has this', ...keys.slice(0, 2)];
    const calls = async () => {
      const texts = await Promise.all(primaries.map((admin) => admin.info('commandstats')));
      return texts.map((text) => Number(/cmdstat_mget:calls=(\d+)/.exec(text)?.[1] ?? 0)).reduce((a, b) => a + b);
    };
    const before = await calls();
    const values = await router.mgetAcross(asked);
    expect(values, 'values in the order asked').toEqual(asked.map((key) => (keys.includes(key) ? `of ${key}` : null)));
    expect((await calls()) - before, 'MGETs sent').toBe(new Set(asked.map(keySlot)).size);
  });

  test('a slot moves with its keys while it is used: no error, no increment lost or made twice', async () => {
    const router = routed();
    const tag = await tagAt(1);
    const keys = Array.from({ length: 12 }, (_, n) => `{${tag}}${n}`);
    const made = new Map<string, number>();
    let over = false;
    const work = async (worker: number) => {
      for (let n = worker; !over || n < 200; n++) {
        const key = keys[n % keys.length] ?? '';
        await router.call('INCR', [key]);
        made.set(key, (made.get(key) ?? 0) + 1);
      }
    };
    const workers = Promise.all(Array.from({ length: 6 }, (_, worker) => work(worker)));
    await Promise.race([until(() => made.size === keys.length, { what: 'all counters to be there' }), workers]);
    const resharding = reshard(router, keySlot(tag), addresses[2] ?? '', { batch: 2 }).finally(() => {
      over = true;
    });
    const [{ from, keys: moved }] = await Promise.all([resharding, workers]);
    expect({ from, moved }, 'what was moved').toEqual({ from: addresses[1], moved: keys.length });
    expect(await router.mgetAcross(keys), 'the counters').toEqual(keys.map((key) => String(made.get(key))));
    expect(await primaries[1]?.cluster('COUNTKEYSINSLOT', keySlot(tag)), 'keys left behind').toBe(0);
    for (const admin of primaries) {
      const ranges = (await admin.cluster('SLOTS')).filter(
        ([low, high]) => low <= keySlot(tag) && keySlot(tag) <= high,
      );
      expect(ranges[0]?.[2]?.[1], 'port of the owner, as each primary has it').toBe(redis.nodes[2].port);
    }
  });

  test('a write that no replica confirms is done, and told apart from one that is safe', async () => {
    const router = routed();
    const tag = await tagAt(2);
    const safe = await router.waitReplicated('SET', [tag, 'safe'], { replicas: 1, withinMs: 2_000 });
    expect(safe, 'with a replica').toEqual({ reply: 'OK', replicas: 1 });
    await redis.nodes[5].pause();
    const alone = await router
      .waitReplicated('INCR', [`{${tag}}n`], { replicas: 1, withinMs: 50 })
      .catch((error: unknown) => error)
      .finally(() => redis.nodes[5].resume());
    expect(alone, 'while the replica hangs').toBeInstanceOf(UnderReplicatedError);
    expect(alone).toMatchObject({ reply: 1, replicas: 0 });
    expect(await router.call('GET', [`{${tag}}n`]), 'it was not undone').toBe('1');
  });

  test('a command whose answer was lost is not sent again: nobody knows whether it was carried out', async () => {
    const { links, translate } = await proxied();
    const router = routed({ translate });
    const tag = await tagAt(0);
    await router.call('GET', [tag]);
    links[0]?.partition('down');
    const call = router.call('INCR', [tag]).catch((error: unknown) => error);
    await until(async () => (await primaries[0]?.get(tag)) === '1', { what: 'the increment to be made' });
    links[0]?.reset();
    links[0]?.heal();
    expect(await call).toBeInstanceOf(OutcomeUnknownError);
    expect(await primaries[0]?.get(tag), 'increments made for one call').toBe('1');
    expect(await router.call('INCR', [tag]), 'the next call, on a new connection').toBe(2);
  });

  test('the keys of a pattern are asked of every primary', async () => {
    const router = routed();
    const name = fresh();
    const keys = Array.from({ length: 40 }, (_, n) => `${name}:${n}`);
    await router.msetAcross(keys.map((key) => [key, '1']));
    const found = new Set<string>();
    for await (const key of router.keysAcross(`${name}:*`)) found.add(key);
    expect(found.size, 'keys found of 40').toBe(40);
  });

  // ── hardening ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('any text is a key, and has the slot that the server gives it', async () => {
    const router = routed();
    const keys = [
      '',
      ' ',
      '\0',
      'a\r\nb',
      '订单:7',
      '{订单}:7',
      '{}{b}',
      '{{}}',
      '}{',
      'é',
      'e\u0301',
      'x'.repeat(3_000),
    ];
    for (const key of keys) {
      expect(await admins[0]?.cluster('KEYSLOT', key), JSON.stringify(key.slice(0, 20))).toBe(keySlot(key));
      await router.call('SET', [key, key]);
      expect(await router.call('GET', [key])).toBe(key);
    }
  });

  test('what names no node, several slots, or would hold the shared connection is refused before it is sent', async () => {
    const router = routed();
    const sent = await counting(async () => {
      const bad: [command: string, args: unknown][] = [
        ['PING', []],
        ['KEYS', ['*']],
        ['NOPE', ['a']],
        ['BLPOP', ['a', 0]],
        ['WATCH', ['a']],
        ['SUBSCRIBE', ['a']],
        ['GET', ['a\ud83d']],
        ['SET', ['a', Number.NaN]],
        ['SET', ['a', null]],
        ['SET', ['a', {}]],
        ['GET', 'a'],
        ['toString', ['a']],
        ['', ['a']],
        ['EVAL', ['return 1', 1e9, 'a']],
      ];
      for (const [command, args] of bad) {
        // @ts-expect-error: untyped code can hand in anything
        await expect(router.call(command, args), `${command} ${JSON.stringify(args)}`).rejects.toThrow(
          InvalidArgumentError,
        );
      }
      await expect(router.call('MGET', ['a', 'b'])).rejects.toThrow(CrossSlotError);
      await expect(router.call('EVAL', ['return 1', 2, 'a', 'b'])).rejects.toThrow(/"a" in 15495, "b" in 3300/);
      for (const entries of [[['a', 'b\udc00']], [['a']], ['ab'], [['a', 1]], null, 7]) {
        // @ts-expect-error: untyped code can hand in anything
        await expect(router.msetAcross(entries), JSON.stringify(entries)).rejects.toThrow(InvalidArgumentError);
      }
      // @ts-expect-error: untyped code can hand in anything
      await expect(router.mgetAcross(null)).rejects.toThrow(InvalidArgumentError);
      // @ts-expect-error: untyped code can hand in anything
      await expect(router.mgetAcross([undefined])).rejects.toThrow(InvalidArgumentError);
      for (const options of [null, { signal: {} }]) {
        // @ts-expect-error: untyped code can hand in anything
        await expect(router.call('GET', ['a'], options)).rejects.toThrow(InvalidArgumentError);
        // @ts-expect-error: untyped code can hand in anything
        await expect(router.keysAcross('*', options).next()).rejects.toThrow(InvalidArgumentError);
        // @ts-expect-error: untyped code can hand in anything
        await expect(reshard(router, 5, addresses[0] ?? '', options)).rejects.toThrow(InvalidArgumentError);
        // @ts-expect-error: untyped code can hand in anything
        expect(() => new ClusterRouter(addresses, options && { connection: null })).toThrow(InvalidArgumentError);
      }
      await expect(router.keysAcross('\ud83d*').next()).rejects.toThrow(InvalidArgumentError);
      const wait = { replicas: 1, withinMs: 100 };
      await expect(router.waitReplicated('SET', ['a', 1], { ...wait, replicas: 0 })).rejects.toThrow(
        InvalidArgumentError,
      );
      await expect(router.waitReplicated('SET', ['a', 1], { ...wait, withinMs: 0 })).rejects.toThrow(
        InvalidArgumentError,
      );
    });
    expect(sent.moved + sent.asked).toBe(0);
    expect(await router.call('EVAL', ['return redis.call("SET", KEYS[1], ARGV[1])', 1, 'a', 'v'])).toBe('OK');
    for (const seeds of [[], undefined, ['localhost'], ['redis://h:1'], [7]]) {
      // @ts-expect-error: untyped code can hand in anything
      expect(() => new ClusterRouter(seeds), String(seeds)).toThrow(InvalidArgumentError);
    }
    for (const bad of [-1, 0, 0.5, 2 ** 31, Number.NaN]) {
      expect(() => routed({ timeoutMs: bad }), `timeoutMs ${bad}`).toThrow(InvalidArgumentError);
      expect(() => routed({ silentMs: bad }), `silentMs ${bad}`).toThrow(InvalidArgumentError);
    }
  });

  test('what a node refuses is refused at once, with the reply as the cause', async () => {
    const router = routed();
    const tag = fresh();
    await router.call('SET', [tag, 'text']);
    const error = await router.call('INCR', [tag]).catch((it: unknown) => it);
    expect(error).toBeInstanceOf(CommandError);
    expect(error).toMatchObject({ cause: { message: expect.stringContaining('not an integer') } });
    for (const words of ['TRYAGAIN later', `MOVED ${(keySlot(tag) + 1) % 16_384} 127.0.0.1:1`]) {
      const counter = `{${tag}}:${words.length}`;
      const script = `redis.call('INCR', KEYS[1]); return redis.error_reply('${words}')`;
      await expect(router.call('EVAL', [script, 1, counter]), words).rejects.toThrow(CommandError);
      expect(await router.call('GET', [counter]), `a script that says "${words}" ran once`).toBe('1');
    }
  });

  test('a command with keys on both sides of a move waits until they are together', async () => {
    const router = routed();
    const tag = await tagAt(2);
    const keys = [`{${tag}}a`, `{${tag}}b`];
    await router.msetAcross(keys.map((key) => [key, key]));
    await halfMoved(tag, 2, 1, keys.slice(0, 1));
    const values = router.mgetAcross(keys);
    const early = await Promise.race([values, delay(100, 'waits')]);
    expect(early, 'while the keys are apart').toBe('waits');
    await reshard(router, keySlot(tag), addresses[1] ?? '');
    expect(await values).toEqual(keys);
  });

  test('nodes that disagree send a command on five times, and no more', async () => {
    const router = routed();
    const tag = await tagAt(2);
    await router.call('GET', [tag]);
    // nodes[2] sends everybody to nodes[1], which knows of nothing and sends them back.
    await primaries[2]?.cluster('SETSLOT', keySlot(tag), 'MIGRATING', redis.nodes[1].id);
    const { result, moved, asked } = await counting(() =>
      router.call('SET', [tag, 'x']).catch((error: unknown) => error),
    );
    await primaries[2]?.cluster('SETSLOT', keySlot(tag), 'STABLE');
    expect(result).toBeInstanceOf(TooManyRedirectionsError);
    expect({ moved, asked }).toEqual({ moved: 3, asked: 3 });
    expect(await router.call('SET', [tag, 'x'])).toBe('OK');
  });

  test('a reshard that was stopped half way is finished by the next, and not turned round', async () => {
    const router = routed();
    const tag = await tagAt(2);
    const keys = Array.from({ length: 6 }, (_, n) => `{${tag}}${n}`);
    await router.msetAcross(keys.map((key) => [key, key]));
    const stop = new AbortController();
    const source = await router.node(addresses[2] ?? '');
    const send = source.sendCommand.bind(source);
    let batches = 0;
    vi.spyOn(source, 'sendCommand').mockImplementation((command, stream) => {
      if (command.name.toLowerCase() === 'migrate' && ++batches === 2) stop.abort(new Error('enough'));
      return send(command, stream);
    });
    const [slot, to] = [keySlot(tag), addresses[0] ?? ''];
    await expect(reshard(router, slot, to, { batch: 2, signal: stop.signal })).rejects.toThrow('enough');
    expect(await router.mgetAcross(keys.slice(0, 1)), 'served meanwhile').toEqual(keys.slice(0, 1));
    await expect(reshard(router, slot, addresses[1] ?? '')).rejects.toThrow(InvalidArgumentError);
    await expect(reshard(router, slot, addresses[2] ?? '')).rejects.toThrow(InvalidArgumentError);
    expect(await reshard(router, slot, to, { batch: 1 }), 'the rest').toEqual({ from: addresses[2], keys: 2 });
    expect(await reshard(router, slot, to), 'once more').toEqual({ from: to, keys: 0 });
    expect(await router.mgetAcross(keys)).toEqual(keys);
    for (const bad of [-1, 16_384, 0.5, Number.NaN])
      await expect(reshard(router, bad, to)).rejects.toThrow(InvalidArgumentError);
    await expect(reshard(router, slot, '127.0.0.1:1')).rejects.toThrow(InvalidArgumentError);
    await expect(reshard(router, slot, to, { batch: 0 })).rejects.toThrow(InvalidArgumentError);
  });

  test('a node that refuses a step of a reshard is named with the step', async () => {
    const router = routed();
    const tag = await tagAt(1);
    await router.call('SET', [tag, 'x']);
    const target = adminOf(addresses[0]);
    await target.config('SET', 'maxmemory', '1');
    const refused = await reshard(router, keySlot(tag), addresses[0] ?? '').catch((error: unknown) => error);
    await target.config('SET', 'maxmemory', '0');
    expect(refused).toBeInstanceOf(ReshardError);
    expect(String(refused)).toContain('MIGRATE');
    expect(await router.call('GET', [tag]), 'and the slot is still served').toBe('x');
    expect(await reshard(router, keySlot(tag), addresses[0] ?? '')).toMatchObject({ keys: 1 });
  });

  test('a key that a broken MIGRATE left on both nodes is moved as its source has it', async () => {
    const router = routed();
    const tag = await tagAt(1);
    await router.call('SET', [tag, 'now']);
    await halfMoved(tag, 1, 0, []);
    // As after a MIGRATE that arrived and was not heard of: the source has the key, so it served it on.
    await adminOf(addresses[0]).pipeline().call('ASKING').set(tag, 'then').exec();
    expect(await reshard(router, keySlot(tag), addresses[0] ?? '')).toMatchObject({ keys: 1 });
    expect(await router.call('GET', [tag])).toBe('now');
  });

  test('a write whose WAIT is refused is done, and not said to be refused', async () => {
    const acl = (...rule: string[]) => Promise.all(admins.map((admin) => admin.call('ACL', ...rule)));
    onTestFinished(async () => void (await acl('DELUSER', 'writer')));
    await acl('SETUSER', 'writer', 'on', '>sesame', '~*', '+@all', '-wait');
    const router = routed({ connection: { username: 'writer', password: 'sesame' } });
    const write = router.waitReplicated('INCR', [fresh()], { replicas: 1, withinMs: 100 });
    const error = await write.catch((it: unknown) => it);
    expect(error).toBeInstanceOf(UnderReplicatedError);
    expect(error).toMatchObject({ reply: 1, replicas: 0, cause: { message: expect.stringContaining('NOPERM') } });
  });

  test('a translation that fails leaves its node unreachable: nothing was sent', async () => {
    const tag = await tagAt(0);
    const wrong = (translated: () => unknown) => (address: string) =>
      address === addresses[0] ? String(translated()) : address;
    const fail = () => {
      throw new Error('no such node');
    };
    for (const translated of [fail, () => undefined, () => '', () => 'localhost']) {
      const router = routed({ translate: wrong(translated), timeoutMs: 50 }, addresses.slice(0, 2));
      const error = await router.call('INCR', [tag]).catch((it: unknown) => it);
      expect(error, String(translated)).toBeInstanceOf(SlotUnavailableError);
    }
  });

  test('a seed may be an IPv6 address, bare or in brackets', async ({ skip }) => {
    const { value: network } = await outcome(detour(() => redis.nodes[0], { host: '::1' }));
    if (!network) return skip('this machine has no IPv6');
    await using _ = network;
    for (const seed of [`[::1]:${network.port}`, `::1:${network.port}`]) {
      await routed({}, [seed]).refresh();
    }
  });

  test('a cluster with a password is resharded, too', async () => {
    const set = (password: string) =>
      Promise.all(
        admins.flatMap((admin) => [
          admin.config('SET', 'masterauth', password),
          admin.config('SET', 'requirepass', password),
        ]),
      );
    onTestFinished(async () => void (await set('')));
    await set('sesame');
    const router = routed({ connection: { password: 'sesame' } });
    const tag = await tagAt(0);
    await router.call('SET', [tag, 'x']);
    const to = addresses[1] ?? '';
    const moved = await reshard(router, keySlot(tag), to);
    expect({ ...moved, at: router.owners()[keySlot(tag)] }).toEqual({ from: addresses[0], keys: 1, at: to });
    expect(await router.call('GET', [tag])).toBe('x');
  });

  test('answers that came while the event loop stood still are answers', async () => {
    const router = routed({ silentMs: 40 });
    const tag = fresh();
    await router.call('SET', [tag, 'x']);
    const asked = [router.call('GET', [tag])];
    for (let stall = 0; stall < 3; stall++) {
      const end = performance.now() + 120;
      while (performance.now() < end);
      asked.push(router.call('GET', [tag]));
      await delay(1);
    }
    expect(await Promise.all(asked)).toEqual(['x', 'x', 'x', 'x']);
  });

  test('a write that waits for its replicas keeps no other call waiting, and hears of a moved slot too', async () => {
    const router = routed();
    const tag = await tagAt(1);
    await router.call('SET', [tag, '1']);
    await redis.nodes[4].pause();
    const order: string[] = [];
    const slow = Array.from({ length: 3 }, async () => {
      await router.waitReplicated('INCR', [tag], { replicas: 1, withinMs: 300 }).catch(() => {});
      order.push('replicated');
    });
    await until(async () => (await primaries[1]?.get(tag)) === '4', { what: 'three increments' });
    await router.call('GET', [tag]).then(() => order.push('read'));
    await Promise.all(slow);
    await redis.nodes[4].resume();
    expect(order).toEqual(['read', 'replicated', 'replicated', 'replicated']);
    const clients = async () =>
      Number(/connected_clients:(\d+)/.exec((await primaries[1]?.info('clients')) ?? '')?.[1]);
    const before = await clients();
    for (let n = 0; n < 5; n++) await router.waitReplicated('INCR', [tag], { replicas: 1, withinMs: 2_000 });
    expect(await clients(), 'connections, after five more such writes').toBeLessThanOrEqual(before);
    const burst = Array.from({ length: 40 }, (_, n) =>
      router.waitReplicated('SET', [`{${tag}}${n}`, 'x'], { replicas: 1, withinMs: 2_000 }),
    );
    expect((await Promise.all(burst)).length).toBe(40);
    await until(async () => (await clients()) <= before + 8, {
      what: 'most of the connections of a burst to be closed',
    });
    const other = await tagAt(0);
    await assign(keySlot(other), 0, 2);
    expect(await router.waitReplicated('SET', [other, 'x'], { replicas: 1, withinMs: 2_000 })).toMatchObject({
      reply: 'OK',
    });
  });

  test('a node that hangs is given up, and a call that was not sent ends within its time limit', async () => {
    const { links, translate } = await proxied();
    const router = routed({ translate, silentMs: 150, timeoutMs: 400 });
    const tag = await tagAt(1);
    await router.call('SET', [tag, 'x']);
    links[1]?.partition('both');
    await expect(router.call('GET', [tag]), 'sent, and silence').rejects.toThrow(OutcomeUnknownError);
    const other = await tagAt(0);
    const entries = [[tag, '1'] as const, [other, '1'] as const];
    const nobody = routed({ timeoutMs: 100 }, ['127.0.0.1:1']);
    const [none, partial, refused] = await Promise.all(
      [router.call('GET', [tag]), router.msetAcross(entries), nobody.call('GET', ['a'])].map((call) =>
        call.catch((error: unknown) => error),
      ),
    );
    expect(none, 'no connection').toBeInstanceOf(SlotUnavailableError);
    expect(refused, 'nobody there').toBeInstanceOf(SlotUnavailableError);
    expect(partial).toBeInstanceOf(PartialWriteError);
    expect(partial).toMatchObject({ written: [other], notWritten: [tag], unknown: [] });
    expect(String(partial)).toContain('Of 2 keys 1 were written, 1 were not');
    links[1]?.heal();
    expect(await router.call('GET', [tag])).toBe('x');
    links[1]?.partition('both');
    const lost = await router.msetAcross(entries).catch((error: unknown) => error);
    expect(lost).toMatchObject({ written: [other], notWritten: [], unknown: [tag] });
    links[1]?.heal();
  });

  test('who aborts gets his own reason at once, and nothing is left on his signal', async () => {
    const { links, translate } = await proxied();
    const router = routed({ translate });
    const tag = await tagAt(0);
    const signal = new AbortController();
    await router.call('SET', [tag, 'x'], { signal: signal.signal });
    expect(getEventListeners(signal.signal, 'abort').length, 'listeners left').toBe(0);
    links[0]?.partition('down');
    const call = router.call('GET', [tag], { signal: signal.signal });
    const many = router.mgetAcross([tag], { signal: signal.signal });
    signal.abort(new Error('changed my mind'));
    await expect(call).rejects.toThrow('changed my mind');
    await expect(many).rejects.toThrow('changed my mind');
    links[0]?.heal();
    const another = routed({ translate }, addresses.slice(1, 2));
    await another.refresh();
    // On its way to a connection: nothing of it may be sent any more.
    const late = new AbortController();
    const unsent = [
      another.call('SET', [tag, 'z'], { signal: late.signal }),
      another.waitReplicated('SET', [tag, 'z'], { replicas: 1, withinMs: 100, signal: late.signal }),
    ];
    late.abort(new Error('too late'));
    for (const each of unsent) await expect(each).rejects.toThrow('too late');
    await another.call('GET', [tag]);
    await another.waitReplicated('GET', [tag], { replicas: 1, withinMs: 100 }).catch(() => {});
    await expect(router.msetAcross([[tag, 'y']], { signal: signal.signal })).rejects.toThrow('changed my mind');
    expect(await primaries[0]?.get(tag)).toBe('x');
  });

  test('after close nothing is sent, and calls on their way end', async () => {
    const { links, translate } = await proxied();
    const router = routed({ translate });
    const tag = await tagAt(0);
    await router.call('SET', [tag, 'x']);
    links[0]?.partition('down');
    const call = router.call('GET', [tag]);
    const listed = Array.fromAsync(router.keysAcross()).catch((error: unknown) => error);
    // In the middle of its SCAN of nodes[0].
    await delay(50);
    router.close();
    router.close();
    await expect(call).rejects.toThrow(RouterClosedError);
    expect(await listed).toBeInstanceOf(RouterClosedError);
    await expect(router.keysAcross().next()).rejects.toThrow(RouterClosedError);
    await expect(router.refresh()).rejects.toThrow(RouterClosedError);
    await expect(router.call('GET', [tag])).rejects.toThrow(RouterClosedError);
    await expect(router.waitReplicated('SET', [tag, 'y'], { replicas: 1, withinMs: 100 })).rejects.toThrow(
      RouterClosedError,
    );
    await expect(router.node(addresses[1] ?? ''), 'a connection of its own').rejects.toThrow(RouterClosedError);
  });
});
