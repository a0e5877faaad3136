import { once } from 'node:events';
import { Agent, createServer, request, type Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { History, ManualClock, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Clock, drainServer, InvalidArgumentError, type QueueOptions, type Work, WorkQueue } from '#lab';

// What needs no cluster: the work of one process, and its end.

/** A queue on a clock that moves by hand, and what was worked on when. */
const queueOf = (work: Work = async () => {}, options: QueueOptions = {}) => {
  const manual = new ManualClock();
  const clock: Clock = manual;
  const log = new History();
  const at: number[] = [];
  const queue = new WorkQueue(
    async (key) => {
      log.record(`${key} at ${manual.mono()}`);
      at.push(manual.mono());
      return work(key);
    },
    { baseMs: 100, maxMs: 60_000, clock, ...options },
  );
  return { queue, manual, log, at };
};

/** Work that goes on until it is let go, and how many are at it. */
const gated = () => {
  const doors: { key: string; open: () => void }[] = [];
  let now = 0;
  let most = 0;
  const work = async (key: string) => {
    most = Math.max(most, ++now);
    await new Promise<void>((resolve) => doors.push({ key, open: resolve }));
    now--;
  };
  return { work, doors, open: () => doors.shift()?.open(), most: () => most };
};

describe('work queue', () => {
  test('a key that is added ten times is worked on once, once more if it is added meanwhile, and never twice at once', async () => {
    const { work, open, most, doors } = gated();
    const { queue, manual, log } = queueOf(work, { workers: 1 });
    queue.add('other');
    for (let time = 0; time < 10; time++) queue.add('ferry');
    await manual.advance(0);
    open();
    await manual.advance(0);
    expect(log.ops, 'once for ten additions').toEqual(['other at 0', 'ferry at 0']);
    const many = queueOf(work, { workers: 4 });
    doors.length = 0;
    many.queue.add('ferry');
    await many.manual.advance(0);
    for (let time = 0; time < 10; time++) many.queue.add('ferry');
    await many.manual.advance(0);
    expect(many.log.ops, 'while it is worked on').toEqual(['ferry at 0']);
    open();
    await many.manual.advance(0);
    expect(many.log.ops, 'what came meanwhile is not forgotten').toEqual(['ferry at 0', 'ferry at 0']);
    expect(most()).toBeLessThan(3);
    open();
  });

  test('a key that fails waits twice as long each time, and begins afresh once it has succeeded', async () => {
    let fails = true;
    const { queue, manual, at } = queueOf(async () => {
      if (fails) throw new Error('no');
    });
    queue.add('ferry');
    await manual.advance(100 * 2 ** 8);
    const waits = at.slice(1).map((each, index) => each - (at[index] ?? 0));
    expect(waits.length, `waits ${waits}`).toBeGreaterThanOrEqual(7);
    for (const [index, wait] of waits.entries()) {
      expect(wait, `wait ${index} of ${waits}`).toBeGreaterThanOrEqual(50 * 2 ** index);
      expect(wait, `wait ${index} of ${waits}`).toBeLessThanOrEqual(100 * 2 ** index);
    }
    fails = false;
    await manual.advance(60_000);
    fails = true;
    const before = at.length;
    queue.add('ferry');
    await manual.advance(100);
    expect(at.length - before, 'tries within the first wait').toBeGreaterThanOrEqual(2);
  });

  test('no wait is longer than its limit, and it differs by chance from key to key', async () => {
    const waits = new Set<number>();
    for (let key = 0; key < 8; key++) {
      const { queue, manual, at } = queueOf(() => Promise.reject(new Error('no')), { maxMs: 400 });
      queue.add('ferry');
      await manual.advance(20_000);
      expect(at.length, 'tries in 20 s').toBeGreaterThanOrEqual(50);
      waits.add((at[1] ?? 0) - (at[0] ?? 0));
    }
    expect(waits.size, `first waits ${[...waits]}`).toBeGreaterThan(1);
  });

  test('a key that fails holds up no other, and no more are worked on at once than there are workers', async () => {
    const failing = queueOf((key) => (key === 'wreck' ? Promise.reject(new Error('no')) : Promise.resolve()), {
      workers: 1,
    });
    failing.queue.add('wreck');
    failing.queue.add('ferry');
    await failing.manual.advance(0);
    expect(failing.log.ops).toEqual(['wreck at 0', 'ferry at 0']);
    const { work, doors, open, most } = gated();
    const { queue, manual } = queueOf(work, { workers: 3 });
    for (let key = 0; key < 9; key++) queue.add(`ferry ${key}`);
    for (let left = 9; left > 0; left--) {
      await manual.advance(0);
      expect(doors).toHaveLength(Math.min(3, left));
      open();
    }
    expect(most()).toBe(3);
  });

  test('of two times the sooner one counts, and work may ask for its next time itself', async () => {
    const { queue, manual, at } = queueOf(async () => {});
    queue.addAfter('ferry', 500);
    queue.addAfter('ferry', 200);
    queue.addAfter('ferry', 900);
    await manual.advance(1000);
    expect(at).toEqual([200]);
    queue.addAfter('ferry', 500);
    queue.add('ferry');
    queue.addAfter('ferry', 0);
    await manual.advance(1000);
    expect(at, 'what is due now is not due later too').toEqual([200, 1000, 1000]);
    const asks = queueOf(async () => 300);
    asks.queue.add('ferry');
    await asks.manual.advance(1000);
    expect(asks.at).toEqual([0, 300, 600, 900]);
  });

  test('close waits for what is worked on, begins nothing more, and leaves no timer', async () => {
    const { work, open } = gated();
    const { queue, manual, log } = queueOf(work, { workers: 1 });
    for (const key of ['ferry', 'tug', 'barge']) queue.add(key);
    queue.addAfter('raft', 10);
    let closed = false;
    const closing = queue.close().then(() => {
      closed = true;
    });
    queue.add('late');
    queue.addAfter('late', 10);
    await manual.advance(1000);
    expect(closed).toBe(false);
    open();
    await closing;
    await manual.advance(1000);
    expect(log.ops).toEqual(['ferry at 0']);
    expect(manual.pending).toBe(0);
  });

  test('neither work that fails or adds its key before it waits, nor a listener that throws, harms a key', async () => {
    let tries = 0;
    const blunt = queueOf(
      () => {
        if (++tries < 3) throw new Error('before any promise');
        return Promise.resolve();
      },
      {
        onError: () => {
          throw new Error('a listener fails');
        },
      },
    );
    blunt.queue.add('ferry');
    await blunt.manual.advance(1000);
    expect(tries, 'tries').toBe(3);
    let depth = 0;
    let most = 0;
    const eager = queueOf(async () => {
      most = Math.max(most, ++depth);
      if (eager.at.length < 5) eager.queue.add('ferry');
      depth--;
    });
    eager.queue.add('ferry');
    await eager.manual.advance(0);
    expect([eager.at.length, most], 'times, and at once').toEqual([5, 1]);
  });

  test('a time that is no number is a failure, and one beyond any timer is not at once', async () => {
    const told: unknown[] = [];
    const { queue, manual, at } = queueOf(async () => Number.NaN, { onError: (_, error) => told.push(error) });
    queue.add('ferry');
    await manual.advance(120);
    expect(told[0]).toBeInstanceOf(InvalidArgumentError);
    expect(at.length, 'tries in 120 ms').toBeLessThan(4);
    expect(() => queue.addAfter('ferry', Number.NaN)).toThrow(InvalidArgumentError);
    let times = 0;
    const yearly = new WorkQueue(async () => {
      times++;
      return 365 * 86_400_000;
    });
    yearly.add('ferry');
    await new Promise((resolve) => setTimeout(resolve, 30));
    await yearly.close();
    expect(times).toBe(1);
  });

  test('each failure is told, with its key; what no queue can be made of is refused', async () => {
    const told: string[] = [];
    const { queue, manual } = queueOf(() => Promise.reject(new Error('no')), {
      onError: (key, error) => told.push(`${key}: ${error}`),
    });
    queue.add('ferry');
    await manual.advance(0);
    expect(told).toEqual(['ferry: Error: no']);
    for (const wrong of [
      { workers: 0 },
      { workers: 1.5 },
      { workers: Number.NaN },
      { baseMs: 0 },
      { baseMs: 20, maxMs: 10 },
      { maxMs: Number.POSITIVE_INFINITY },
    ]) {
      expect(() => new WorkQueue(async () => {}, wrong), JSON.stringify(wrong)).toThrow(InvalidArgumentError);
    }
    expect(() => new WorkQueue(async () => {})).not.toThrow();
  });
});

/** A server that takes `workMs` for an answer. */
const serve = async (workMs: number): Promise<{ server: Server; port: number }> => {
  const server = createServer(async (_, response) => {
    await delay(workMs);
    response.end('yes');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close(() => {}).closeAllConnections());
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
};

const ask = (port: number, agent: Agent | false = false) =>
  new Promise<string>((resolve) => {
    const asked = request({ host: '127.0.0.1', port, agent }, (response) => {
      response
        .resume()
        .on('end', () => resolve('answered'))
        .on('error', () => resolve('cut'));
    });
    asked.on('error', ({ message }) => resolve(message.replace(/ .*/, ''))).end();
  });

describe('a server that drains', () => {
  test('a server that is told to stop answers whatever still reaches it while the news spreads, and what is under way', async () => {
    const { server, port } = await serve(150);
    const early = ask(port);
    await until(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count === 1))));
    const begun = performance.now();
    const draining = drainServer(server, { lingerMs: 800, graceMs: 2000 });
    const late: Promise<string>[] = [];
    // Well within the time for the news, however slow the machine is.
    for (; performance.now() - begun < 300; await delay(50)) late.push(ask(port));
    expect(await Promise.all([early, ...late])).toEqual(Array(late.length + 1).fill('answered'));
    expect(await draining, 'connections that were cut').toBe(0);
    expect(await ask(port), 'after the end').not.toBe('answered');
  });

  test('a client that keeps its connection open is sent away with an answer, and does not hold up the end', async () => {
    const { server, port } = await serve(5);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const idle = new Agent({ keepAlive: true });
    onTestFinished(() => idle.destroy());
    expect(await ask(port, idle)).toBe('answered');
    const draining = drainServer(server, { lingerMs: 200, graceMs: 2000 });
    let ended = false;
    void draining.then(() => {
      ended = true;
    });
    const answers: string[] = [];
    while (!ended) answers.push(await ask(port, agent));
    expect(await draining).toBe(0);
    // The last one met a closed door; none was accepted and then dropped.
    expect(answers.filter((answer) => answer !== 'answered' && answer !== 'connect')).toEqual([]);
    expect(answers, 'until the door closed').toContain('answered');
  });

  test('an answer that takes longer than the grace is cut, and counted', async () => {
    const { server, port } = await serve(5000);
    const hanging = [ask(port), ask(port)];
    await until(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count === 2))));
    expect(await drainServer(server, { lingerMs: 0, graceMs: 50 })).toBe(2);
    expect(await Promise.all(hanging)).not.toContain('answered');
    expect(await drainServer(createServer()), 'a server that does not listen').toBe(0);
  });

  test('a second SIGTERM does not end what the first one waits for; a time that is none is refused', async () => {
    const { server, port } = await serve(300);
    const slow = ask(port);
    await until(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count === 1))));
    const first = drainServer(server, { lingerMs: 0, graceMs: 3000 });
    await until(() => !server.listening);
    await drainServer(server, { lingerMs: 0 });
    expect(await slow).toBe('answered');
    expect(await first).toBe(0);
    await expect(drainServer(createServer().listen(0), { lingerMs: Number.NaN })).rejects.toThrow(InvalidArgumentError);
  });
});
