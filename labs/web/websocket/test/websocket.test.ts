import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { startRedis } from '@shared/services';
import { describeWith, outcome, random, stillLoading, until, whileBusy } from '@shared/testkit';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import {
  BackgroundError,
  ChannelLayer,
  type ChannelLayerOptions,
  ClosedError,
  InvalidArgumentError,
  isBefore,
  Presence,
  type PresenceOptions,
  UnavailableError,
} from '#lab';
import { ear, numbers } from './ear.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const NOT_OURS = 'it kills a server, and this one is not ours';

await describeWith('groups', { redis: () => startRedis({ persist: 'always' }) }, ({ redis }) => {
  const [node] = redis.nodes;
  let boards = 0;
  /** Groups of the test's own. */
  const village = () => {
    const prefix = `${redis.namespace}${process.pid}:${++boards}:`;
    const errors: unknown[] = [];
    /** A process as far as the layer goes: connections of its own. */
    const hall = (options: Partial<ChannelLayerOptions> = {}) => {
      const layer = new ChannelLayer({ url: node.url, prefix, onError: (error) => errors.push(error), ...options });
      onTestFinished(() => layer.close());
      return layer;
    };
    const register = (options: Partial<PresenceOptions> = {}) => {
      const presence = new Presence({ url: node.url, prefix, onError: (error) => errors.push(error), ...options });
      onTestFinished(() => presence.close());
      return presence;
    };
    return { prefix, errors, hall, register };
  };
  const proxied = async () => {
    const proxy = await node.proxy();
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    return proxy;
  };
  const admin = () => {
    const client = new Redis(node.url);
    onTestFinished(() => client.disconnect());
    return client;
  };
  const sendAll = async (layer: ChannelLayer, group: string, bodies: readonly number[]) => {
    const ids: string[] = [];
    for (const body of bodies) ids.push(await layer.send(group, body));
    return ids;
  };
  const heard = (notes: readonly unknown[], wanted: number, what = 'notes heard') =>
    until(() => notes.length >= wanted, { timeoutMs: 1500, what: `${wanted} ${what}` }).catch(() => {});

  // ── core ──

  test('what is sent in one process is heard in all of them, in the one order of its group', async () => {
    const { hall } = village();
    const halls = [hall(), hall(), hall()] as const;
    const ears = halls.map(() => ear());
    await Promise.all(ears.map(({ member }, n) => halls[n]?.join('board', member)));
    const other = ear();
    await halls[0].join('other', other.member);
    await Promise.all([sendAll(halls[0], 'board', numbers(1, 50)), sendAll(halls[1], 'board', numbers(101, 150))]);
    for (const [n, { notes }] of ears.entries()) {
      await heard(notes, 100);
      expect(notes.length, `of 100 notes, heard in hall ${n + 1}`).toBe(100);
      expect(notes, `hall ${n + 1} hears what hall 1 hears, in the same order`).toEqual(ears[0]?.notes);
    }
    const order = (ears[0]?.notes ?? []).map(Number);
    expect(
      order.filter((each) => each < 100),
      'of one sender, in its order',
    ).toEqual(numbers(1, 50));
    expect(other.notes, 'heard by a member of another group').toEqual([]);
  });

  test('a process that is cut off from Redis for a moment has missed nothing, and hears nothing twice', async () => {
    const { hall } = village();
    const proxy = await proxied();
    const near = hall();
    const far = hall({ url: proxy.url });
    const { member, notes } = ear();
    await far.join('board', member);
    for (let cut = 0; cut < 3; cut++) {
      await sendAll(near, 'board', numbers(20 * cut + 1, 20 * cut + 10));
      proxy.reset();
      await sendAll(near, 'board', numbers(20 * cut + 11, 20 * cut + 20));
      await heard(notes, 20 * (cut + 1));
      if (notes.length < 20 * (cut + 1)) break;
    }
    expect(notes, '60 notes, three cuts').toEqual(numbers(1, 60));
  });

  test('who comes back is given what was missed, once, in order, and then what is new', async () => {
    const { hall } = village();
    const proxy = await proxied();
    const [layer, other] = [hall({ url: proxy.url }), hall()];
    const ids = await sendAll(other, 'board', numbers(1, 100));
    const resident = ear();
    await layer.join('board', resident.member);
    const dice = random(SEED);
    const returning = numbers(1, 20).map(() => ({ seen: dice.int(1, 99), ...ear() }));
    // An answer takes 10 ms, and a note is sent each millisecond: whatever is done in two steps, some come between.
    proxy.latency(5);
    let joining = true;
    const busy = async () => {
      let n = 100;
      while (joining) await Promise.all([other.send('board', ++n), new Promise((resolve) => setTimeout(resolve, 1))]);
      for (let last = 0; last < 10; last++) await other.send('board', ++n);
      return n;
    };
    const sending = busy();
    const joins = returning.map(({ member, seen }) => layer.join('board', member, { after: ids[seen - 1] }));
    const ended = await outcome(Promise.all(joins));
    joining = false;
    const total = await sending;
    expect(ended.error).toBeUndefined();
    await heard(resident.notes, total - 100);
    for (const { seen, notes } of returning) {
      await until(() => notes.at(-1) === total, { timeoutMs: 1500, what: 'the last note' }).catch(() => {});
      expect(notes, `100 notes and ${total - 100} more while they joined; this one had seen ${seen}`).toEqual(
        numbers(seen + 1, total),
      );
    }
  });

  test('who asks for what is no longer kept is told to resync, and not given a gap in silence', async () => {
    const { hall } = village();
    const proxy = await proxied();
    const layer = hall({ keep: 10 });
    const far = hall({ url: proxy.url });
    const live = ear();
    await far.join('board', live.member);
    const [first] = await sendAll(layer, 'board', numbers(1, 5));
    await heard(live.notes, 5);
    proxy.partition('both');
    await sendAll(layer, 'board', numbers(6, 30));
    proxy.heal();
    const late = ear();
    await layer.join('board', late.member, { after: first });
    expect(late.notes, 'ten are kept of 30, it had seen the first').toEqual(['resync', ...numbers(21, 30)]);
    await heard(live.notes, 16);
    const gap = live.notes.indexOf('resync');
    expect(live.notes, 'who was there, in a process that was away while 25 were sent').toEqual([
      ...numbers(1, gap),
      'resync',
      ...numbers(21, 30),
    ]);
    await admin().del(...(await admin().keys(`*${boards}:group:board`)));
    const lost = ear();
    const joined = layer.join('board', lost.member, { after: first });
    await until(() => joined, { timeoutMs: 2000, what: 'join to end, though the whole group is gone' });
    expect(lost.notes, 'the whole group is gone').toEqual(['resync']);
    await layer.send('board', 31);
    await heard(lost.notes, 2);
    expect(lost.notes).toEqual(['resync', 31]);
  });

  test('who is there is known in all processes, and a process that is killed takes its people along', async () => {
    const { prefix, register } = village();
    const [here, there] = [register({ ttlMs: 300 }), register({ ttlMs: 300 })];
    await here.enter('board', '小梅');
    const tabs = [await there.enter('board', 'Ada'), await there.enter('board', 'Ada')];
    const child = spawn(process.execPath, [join(import.meta.dirname, 'present.ts')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    child.stdin.end(JSON.stringify({ url: node.url, prefix, ttlMs: 300, who: 'Bo' }));
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
    expect(await here.list('board'), 'while all three are there, Ada twice').toEqual(['Ada', 'Bo', '小梅']);
    child.kill('SIGKILL');
    await until(async () => !(await here.list('board')).includes('Bo'), {
      timeoutMs: 1000,
      what: 'Bo to be gone',
    }).catch(() => {});
    expect(await here.list('board'), 'after kill -9 of Bo’s process').toEqual(['Ada', '小梅']);
    for (const [n, tab] of tabs.entries()) {
      await there.leave(tab);
      expect((await here.list('board')).includes('Ada'), `Ada is there when ${n + 1} of her 2 tabs are closed`).toBe(
        n === 0,
      );
    }
    expect(await here.list('yard')).toEqual([]);
  });

  // ── hardening ──

  test('one connection waits for all groups of a process; who has left leaves nothing behind', async () => {
    const { hall } = village();
    const client = admin();
    const blocked = async () => (await client.info('clients')).match(/blocked_clients:(\d+)/)?.[1];
    const before = Number(await blocked());
    const layer = hall();
    const ears = numbers(1, 500).map((n) => ({ group: `board ${n % 100}`, ...ear() }));
    await Promise.all(ears.map(({ group, member }) => layer.join(group, member)));
    await until(async () => Number(await blocked()) === before + 1, { what: 'one connection that waits' });
    await Promise.all(numbers(0, 99).map((n) => layer.send(`board ${n}`, n)));
    await until(() => ears.every(({ notes }) => notes.length === 1), { what: 'a note for each of 500 members' });
    for (const { group, member } of ears) expect(layer.leave(group, member)).toBe(true);
    await layer.send('board 1', 'late');
    const again = ear();
    await layer.join('board 1', again.member);
    await layer.send('board 1', 'new');
    await heard(again.notes, 1);
    expect(again.notes).toEqual(['new']);
    expect(ears.filter(({ notes }) => notes.length > 1)).toEqual([]);
  });

  test('a Redis that is still loading its data is asked nevertheless: nothing is heard later that its sender was told is not sent', async () => {
    const { hall } = village();
    await using link = await stillLoading(node.url);
    // Its own "LOADING" comes at once, and nothing is kept for later.
    const sent = await outcome(hall({ url: link.url }).send('board', 1));
    expect(sent.error).toBeUndefined();
  });

  test('a database that could not be chosen, as Redis was busy with a script, is no reason to talk in another', async ({
    skip,
  }) => {
    skip(!redis.faults, NOT_OURS);
    const { hall, prefix } = village();
    const one = await whileBusy(node.url, async () => {
      const one = hall({ url: new URL('/2', node.url).href });
      expect((await outcome(one.send('board', 1))).error).toBeInstanceOf(UnavailableError);
      return one;
    });
    await until(() => one.send('board', 2));
    expect(await admin().keys(`${prefix}*`), 'database 0').toEqual([]);
  });

  test('Redis dies and comes back: what was acknowledged is heard, what was not says so, and members stay', async ({
    skip,
  }) => {
    skip(!redis.faults, NOT_OURS);
    const { hall, errors } = village();
    const [one, two] = [hall(), hall()];
    const { member, notes } = ear();
    await two.join('board', member);
    const acknowledged: number[] = [];
    const refused: unknown[] = [];
    const send = async (n: number) => {
      const { value, error } = await outcome(one.send('board', n), 5000);
      if (value) acknowledged.push(n);
      else refused.push(error);
    };
    const dying = node.kill();
    for (let n = 1; refused.length < 3; n++) await send(n);
    await dying;
    expect(refused.filter((error) => !(error instanceof UnavailableError))).toEqual([]);
    await node.restart();
    await send(0);
    await until(async () => (await outcome(one.send('board', 'end'))).value, { what: 'a note that is taken again' });
    await until(() => notes.includes('end'), { what: 'the last note' });
    const missing = acknowledged.filter((n) => !notes.includes(n));
    expect(missing, 'acknowledged, and not heard').toEqual([]);
    expect(
      notes.filter((each, n) => notes.indexOf(each) !== n),
      'heard twice',
    ).toEqual([]);
    expect(errors.every((error) => error instanceof BackgroundError)).toBe(true);
    expect(errors.length, 'reports: one a process, whatever was tried meanwhile').toBeLessThanOrEqual(2);
  });

  test('a Redis that has forgotten everything is noticed: a resync, and then it goes on', async () => {
    const { hall, prefix } = village();
    const proxy = await proxied();
    const [layer, far] = [hall(), hall({ url: proxy.url })];
    const { member, notes } = ear();
    await far.join('board', member);
    await layer.send('board', 1);
    await heard(notes, 1);
    const client = admin();
    await client.del(`${prefix}group:board`);
    proxy.reset();
    await heard(notes, 2);
    expect(notes, 'after the connection was made anew').toEqual([1, 'resync']);
    await layer.send('board', 2);
    await heard(notes, 3);
    await client.del(`${prefix}group:board`);
    await layer.send('board', 3);
    await heard(notes, 5);
    expect(notes, 'deleted behind its back').toEqual([1, 'resync', 2, 'resync', 3]);
  });

  test('a member is told its messages by pages, and what comes between two pages belongs to it', async () => {
    const { hall } = village();
    const layer = hall();
    const ids = await sendAll(layer, 'board', numbers(1, 70));
    let pages = 0;
    const slow = ear({
      drained: async () => {
        if (++pages === 1) await sendAll(layer, 'board', numbers(71, 80));
      },
    });
    await layer.join('board', ear().member);
    await layer.join('board', slow.member, { after: ids[0] });
    await layer.send('board', 81);
    await heard(slow.notes, 80);
    expect(slow.notes).toEqual(numbers(2, 81));
    expect(pages, 'waits for the member').toBeGreaterThan(1);
    const none = ear();
    expect(await layer.join('board', none.member, { after: ids[69] })).not.toBe(ids[69]);
    expect(none.notes).toEqual(numbers(71, 81));
  });

  test('who leaves while it joins is told nothing; who closes ends what waits', async () => {
    const { hall } = village();
    const layer = hall();
    const ids = await sendAll(layer, 'board', numbers(1, 40));
    const { member, notes } = ear();
    const joining = layer.join('board', member, { after: ids[0] });
    layer.leave('board', member);
    await outcome(joining);
    await layer.send('board', 41);
    expect([notes, layer.leave('board', member)]).toEqual([[], false]);
    const hasty = ear({
      deliver({ body }) {
        hasty.notes.push(body);
        if (body === 3) layer.leave('board', hasty.member);
      },
    });
    await layer.join('board', hasty.member, { after: ids[0] });
    const touchy = ear({ resync: () => void layer.leave('board', touchy.member) });
    await layer.join('board', touchy.member, { after: '5-5' });
    expect([hasty.notes, touchy.notes], 'who leaves while it is told something').toEqual([[2, 3], []]);
    const other = hall();
    const [closer, beside] = [ear({ deliver: () => void other.close() }), ear()];
    await other.join('board', closer.member);
    await other.join('board', beside.member);
    await layer.send('board', 42);
    await until(async () => (await outcome(other.send('board', 0))).error instanceof ClosedError, { what: 'the end' });
    expect(beside.notes, 'of who is told after another one has closed').toEqual([]);
    const waiting = [outcome(layer.join('yard', member)), outcome(layer.send('board', 42))];
    await layer.close();
    for (const { error } of await Promise.all(waiting)) {
      if (error) expect(error).toBeInstanceOf(ClosedError);
    }
    expect((await outcome(layer.join('board', member))).error).toBeInstanceOf(ClosedError);
    expect((await outcome(layer.send('board', 1))).error).toBeInstanceOf(ClosedError);
    await layer.close();
    const lost = hall({ url: 'redis://127.0.0.1:1' });
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect((await outcome(lost.close(), 1000)).error, 'a close without a Redis').toBeUndefined();
  });

  test('a member that throws is reported, and takes nothing from the others', async () => {
    const { hall, errors, register, prefix } = village();
    const layer = hall();
    const broken = ear({
      deliver: () => {
        throw new Error('no ears');
      },
    });
    const later = ear({ deliver: () => Promise.reject(new Error('no ears')) });
    const { member, notes } = ear();
    await layer.join('board', broken.member);
    await layer.join('board', later.member);
    await layer.join('board', member);
    await sendAll(layer, 'board', [1, 2]);
    await heard(notes, 2);
    expect(notes).toEqual([1, 2]);
    expect(errors).toMatchObject(Array(4).fill({ cause: { message: 'no ears' } }));
    const warnings: Error[] = [];
    const warn = (warning: Error) => void warnings.push(warning);
    process.on('warning', warn);
    onTestFinished(() => void process.off('warning', warn));
    const onError = () => {
      throw new Error('worse');
    };
    await register({ ttlMs: 60, onError }).enter('board', 'Ada');
    await admin().set(`${prefix}presence:board`, 'what cannot be renewed');
    await until(() => warnings.some(({ message }) => message.includes('worse')), {
      what: 'a warning of what onError throws',
    });
  });

  test('bodies come as they were sent, each hearer has its own, and what has no JSON is refused', async () => {
    const { hall } = village();
    const layer = hall();
    const { member, messages } = ear();
    await layer.join('__proto__', member);
    const body = { text: 'half a pair \ud83d, a \0, 小梅 🐉', n: [1, null, true], constructor: 'x' };
    const id = await layer.send('__proto__', body);
    await heard(messages, 1);
    const [message] = messages;
    expect(message).toMatchObject({ group: '__proto__', id, prev: '0-0', body });
    expect(message?.body, 'two who ask').not.toBe(message?.body);
    expect(() => Object.assign(message ?? {}, { id: '1-1' }), 'a member that changes what others get').toThrow(
      TypeError,
    );
    expect(JSON.parse(String(message?.frame))).toEqual({ type: 'message', group: '__proto__', id, body });
    const cycle: Record<string, never> = {};
    Object.assign(cycle, { cycle });
    for (const bad of [JSON.parse('{}').x, cycle, JSON.parse(`{"x":1}`, () => 1n)]) {
      expect((await outcome(layer.send('board', bad))).error).toBeInstanceOf(InvalidArgumentError);
    }
  });

  test('names and ids that come from outside are looked at first', async () => {
    const { hall, register } = village();
    const layer = hall();
    const { member } = ear();
    for (const name of ['', 'x'.repeat(257), 'half \ud83d', JSON.parse('7')]) {
      for (const call of [layer.send(name, 1), layer.join(name, member), register().enter(name, 'Ada')]) {
        expect((await outcome<unknown>(call)).error, `the name ${JSON.stringify(name)}`).toBeInstanceOf(
          InvalidArgumentError,
        );
      }
    }
    for (const after of ['', '$', '0', '-', '1-', '1-0-0', `${'9'.repeat(16)}-0`, ' 1-0', JSON.parse('5')]) {
      const { error } = await outcome(layer.join('board', member, { after }));
      expect(error, `after ${JSON.stringify(after)}`).toBeInstanceOf(InvalidArgumentError);
    }
    for (const who of ['half \ud83d', JSON.parse('7')]) {
      expect((await outcome(register().enter('board', who))).error).toBeInstanceOf(InvalidArgumentError);
    }
    await layer.join('board', member);
    expect((await outcome(layer.join('board', member))).error, 'in it already').toBeInstanceOf(InvalidArgumentError);
    const from = ear();
    await layer.join('board', from.member, { after: '999999999999999-0' });
    await layer.send('board', 1);
    await heard(from.notes, 2);
    expect(from.notes, 'an id that nobody has given yet').toEqual(['resync', 1]);
    for (const wrong of [{ keep: 0 }, { keepMs: 1.5 }]) expect(() => hall(wrong)).toThrow(InvalidArgumentError);
    for (const ttlMs of [Number.NaN, 2 ** 31]) expect(() => register({ ttlMs })).toThrow(InvalidArgumentError);
    expect([isBefore('9-0', '10-0'), isBefore('9-2', '9-10'), isBefore('9-2', '9-2')]).toEqual([true, true, false]);
  });

  test('presence outlives a Redis that forgets, and a close that has no answer', async () => {
    const { register, prefix, errors } = village();
    const proxy = await proxied();
    const [here, there] = [register({ ttlMs: 150 }), register({ ttlMs: 150, url: proxy.url })];
    await there.enter('board', 'Ada');
    const [brief, lasting] = [register({ ttlMs: 20 }), register()];
    await lasting.enter('yard', 'Cy');
    await brief.enter('yard', 'Di');
    await admin().del(`${prefix}presence:board`);
    await until(async () => (await here.list('board')).includes('Ada'), { what: 'Ada, who is there' });
    proxy.reset();
    await until(async () => (await here.list('board')).length === 0 || errors.length === 0, { what: 'a moment' });
    await until(async () => (await here.list('board')).includes('Ada'), { what: 'Ada, whose connection was cut' });
    await Promise.all([there.close(), brief.close()]);
    expect(await here.list('board'), 'after a goodbye').toEqual([]);
    await until(async () => Number(await admin().zcard(`${prefix}presence:yard`)) <= 1, { what: 'Cy alone' });
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(await here.list('yard'), 'whose entry lasts longer than that of another who has left').toEqual(['Cy']);
    expect((await outcome(there.list('board'))).error).toBeInstanceOf(ClosedError);
  });
});
