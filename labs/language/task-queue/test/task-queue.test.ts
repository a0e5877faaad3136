import { once } from 'node:events';
import { createServer } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { type DetourOptions, describeWith, detour, ManualClock, until } from '@shared/testkit';
import { FlowProducer, Job, QueueEventsProducer } from 'bullmq';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  EvictionPolicyError,
  HardTimeLimitError,
  InvalidArgumentError,
  LockLostError,
  Monitor,
  PermanentError,
  QueueClosedError,
  ResultTimeoutError,
  SoftTimeLimitError,
  sandboxed,
  TaskExpiredError,
  TaskFailedError,
  TaskQueue,
  TaskRevokedError,
  type Tasks,
  type TaskWorker,
  type TaskWorkerOptions,
  task,
  UnknownTaskError,
} from '#lab';
import type run from './thread-task.ts';
import type { Order } from './thread-task.ts';

const HOUR = 3_600_000;
/** What a test gives a result that must come: the machine may be busy. */
const PATIENCE = 4_000;

await describeWith('task queue', { redis: () => startRedis() }, ({ redis }) => {
  const [{ url }] = redis.nodes;
  const prefix = redis.namespace.replace(/:$/, '');
  let shops = 0;
  const fresh = () => `shop-${++shops}`;
  /** A queue of the test's own; a second one with the same name is another instance of the same service. */
  const open = <M extends Tasks>(tasks: M, name = fresh()) => {
    const queue = new TaskQueue(tasks, { connection: { url }, prefix, name });
    onTestFinished(() => queue.close());
    return queue;
  };
  const work = (
    queue: { worker: (options: TaskWorkerOptions) => Promise<TaskWorker> },
    options: TaskWorkerOptions = {},
  ) => queue.worker({ onError: () => {}, ...options });
  /** Something that a test lets happen when it wants to. */
  const gate = () => Promise.withResolvers<void>();
  /** Time enough for everything that is under way in this process and its Redis, however slow the machine is. */
  const settle = async (queue: { readonly bull: { getJobCounts(): Promise<unknown> } }) => {
    for (let trip = 0; trip < 200; trip++) await queue.bull.getJobCounts();
  };
  /** Until the test is over, timers go on only where it moves them. Redis answers all the same. */
  const holdTimers = (...also: 'performance'[]) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', ...also] });
    onTestFinished(() => void vi.useRealTimers());
  };

  /** The same Redis by way of lines that a test may cut, and whose answers it may put in other words. */
  const relayed = async (words: DetourOptions = {}) => {
    const relay = await detour(() => redis.nodes[0], words);
    onTestFinished(() => relay[Symbol.asyncDispose]());
    return { near: relay.url(url), lines: relay.lines };
  };

  /** Whether something ends before the timers, which the test holds, have gone on for a minute. */
  const inAMinute = async (end: Promise<unknown>, queue: Parameters<typeof settle>[0]) => {
    let now = 'not ended';
    void end.then(() => {
      now = 'ended';
    });
    for (let second = 0; second < 60 && now !== 'ended'; second++) {
      await vi.advanceTimersByTimeAsync(1_000);
      await settle(queue);
    }
    return now;
  };

  const module = new URL('./thread-task.ts', import.meta.url);
  const double = task((n: number) => n * 2);
  const text = task((n: number) => `${n} prints`);
  const list = task((parts: number[]) => parts.join(' '));

  // ── one task ──────────────────────────────────────────────────────────────────────────────────────────────────────

  test('what no task can be sent with is refused before anything is sent', async () => {
    const queue = open({ double, list });
    const soon = new Date(Date.now() + HOUR);
    const broken = { connection: { url }, prefix, name: fresh() };
    const bad: [string, () => Promise<unknown>][] = [
      ['an empty id', () => queue.delay('double', 1, { id: '' })],
      ['an id with a colon', () => queue.delay('double', 1, { id: 'film:7' })],
      ['an id that is a whole number', () => queue.delay('double', 1, { id: '7' })],
      ['an id that is a whole number below 0', () => queue.delay('double', 1, { id: '-7' })],
      ['an id that is another number below 0', () => queue.delay('double', 1, { id: '-7.5' })],
      ['an id that BullMQ takes for a number', () => queue.delay('double', 1, { id: 'NaN' })],
      ['an id that is a key of BullMQ', () => queue.delay('double', 1, { id: 'events' })],
      ['a number that JSON has not', () => queue.delay('double', Number.NaN)],
      ['a priority that is none', () => queue.delay('double', 1, JSON.parse('{"priority":"toString"}'))],
      ['runs without end', async () => task(() => 1, { retry: { attempts: Number.POSITIVE_INFINITY } })],
      ['a wait that is not a number', async () => sandboxed(module, { hardLimitMs: 9, retry: { baseMs: Number.NaN } })],
      ['less than no stall', () => queue.worker({ maxStalls: -1 })],
      ['a wait for a result of NaN ms', () => queue.result('x').get(Number.NaN)],
      ['an id with half an emoji', () => queue.delay('double', 1, { id: 'film-\ud83d' })],
      ['a part of a chord with an id', () => queue.chord([queue.s('double', 1, { id: 'mine' })], 'list')],
      ['a negative countdown', () => queue.delay('double', 1, { countdownMs: -1 })],
      ['a countdown that is not a number', () => queue.delay('double', 1, { countdownMs: Number.NaN })],
      ['a countdown and a moment', () => queue.delay('double', 1, { countdownMs: 1, eta: soon })],
      ['a moment that is none', () => queue.delay('double', 1, { eta: new Date('never') })],
      ['an end that is none', () => queue.delay('double', 1, { expires: new Date('never') })],
      ['a chord without a head', () => queue.chord([], 'list')],
      ['a schedule without an id', () => queue.beat('', { everyMs: 60 }, 'double', 1)],
      ['a schedule of 0 ms', () => queue.beat('tick', { everyMs: 0 }, 'double', 1)],
      ['a schedule by no calendar', () => queue.beat('tick', { cron: 'daily', tz: 'UTC' }, 'double', 1)],
      ['a schedule by an empty calendar', () => queue.beat('tick', { cron: '', tz: 'UTC' }, 'double', 1)],
      ['a day that never comes', () => queue.beat('tick', { cron: '0 9 31 4,6 *', tz: 'UTC' }, 'double', 1)],
      ['a time zone that is none', () => queue.beat('tick', { cron: '0 9 * * *', tz: 'Asia/Peking' }, 'double', 1)],
      ['results kept for NaN seconds', async () => new TaskQueue({}, { ...broken, keepResults: { age: Number.NaN } })],
      ['no task at all at once', () => queue.worker({ concurrency: 0 })],
      ['a lock of half a millisecond', () => queue.worker({ lockMs: 0.5 })],
      ['a limit that fires at once', async () => task(() => 1, { softLimitMs: 2 ** 31 })],
      ['a hard limit of 0 ms', async () => sandboxed(module, { hardLimitMs: 0 })],
      ['a soft limit after the hard one', async () => sandboxed(module, { softLimitMs: 2, hardLimitMs: 1 })],
      ['a soft limit at the hard one', async () => sandboxed(module, { softLimitMs: 1, hardLimitMs: 1 })],
    ];
    for (const [what, send] of bad) {
      const error = await Promise.resolve()
        .then(send)
        .catch((thrown: unknown) => thrown);
      expect(error, what).toBeInstanceOf(InvalidArgumentError);
    }
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    expect(await client.keys(`${prefix}:${queue.name}:*-*`)).toEqual([]);
  });

  test('what stands at a limit is within it', async () => {
    const longest = 2 ** 31 - 1;
    const tasks = {
      double: task((n: number) => n * 2, { softLimitMs: longest, retry: { attempts: 1, baseMs: 0 } }),
      brief: task(() => null, { softLimitMs: 1 }),
      scan: sandboxed(module, { softLimitMs: longest - 1, hardLimitMs: longest }),
      still: sandboxed(module, { hardLimitMs: 1 }),
    };
    const options = { connection: { url }, prefix, name: fresh(), keepResults: { age: 0, count: 0 } };
    const forgetful = new TaskQueue(tasks, options);
    await forgetful.close();
    const queue = open(tasks);
    await queue.beat('tick', { everyMs: 1 }, 'brief', null);
    await queue.endBeat('tick');
    const least = { concurrency: 1, lockMs: 1, stalledCheckMs: 1, maxStalls: 0, rateLimit: { max: 1, perMs: 1 } };
    await (await work(queue, least)).close();
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const now = new Date();
    const soon = [
      { id: '0.0' },
      { id: '0.5' },
      { countdownMs: 0 },
      { eta: now },
      { eta: new Date(0) },
      { expires: now },
    ];
    const sent = await Promise.all(soon.map((each) => queue.delay('double', 21, each)));
    const states = await Promise.all(sent.map((ticket) => ticket.state()));
    expect(states).toEqual(soon.map(() => 'prioritized'));
    await work(queue);
    expect(await Promise.all(sent.map((ticket) => ticket.get(PATIENCE)))).toEqual(soon.map(() => 42));
  });

  test('what is not said is as the options say', async () => {
    const queue = open({ double });
    const job = await queue.bull.getJob((await queue.delay('double', 1)).id);
    const keep = { age: 3_600, count: 10_000 };
    const kept = { removeOnComplete: keep, removeOnFail: keep };
    expect(job?.opts).toMatchObject({ attempts: 3, backoff: { delay: 1_000 }, delay: 0, ...kept });
    const { bull } = await queue.worker();
    const asDocumented = { concurrency: 1, lockDuration: 30_000, stalledInterval: 30_000, maxStalledCount: 1 };
    expect(bull.opts).toMatchObject(asDocumented);
    expect(bull.opts.limiter).toBeUndefined();
  });

  test('who does not say how long he waits for a result is told after half a minute', async () => {
    const queue = open({ double });
    const ticket = await queue.delay('double', 1);
    await expect(ticket.get(0)).rejects.toThrow(ResultTimeoutError);
    holdTimers('performance');
    let outcome: unknown;
    void ticket.get().catch((error: unknown) => {
      outcome = error;
    });
    await settle(queue);
    await vi.advanceTimersByTimeAsync(29_999);
    await settle(queue);
    expect(outcome, 'a millisecond before').toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    await settle(queue);
    expect(outcome).toBeInstanceOf(ResultTimeoutError);
  });

  test('a task runs in a worker and its result comes back', async () => {
    const queue = open({ double });
    const ticket = await queue.delay('double', 21);
    expect(await ticket.state()).toBe('prioritized');
    await work(queue);
    expect(await ticket.get(PATIENCE)).toBe(42);
  });

  test('a result is there for whoever asks later, from anywhere', async () => {
    const name = fresh();
    const queue = open({ double }, name);
    await work(queue);
    const { id } = await queue.delay('double', 21);
    await until(async () => !['prioritized', 'active'].includes(await queue.result(id).state()), { what: 'its end' });
    expect(await open({ double }, name).result<number>(id).get(PATIENCE)).toBe(42);
  });

  test('who waits for too long, or for nothing, is told so', async () => {
    const queue = open({ double });
    const ticket = await queue.delay('double', 1);
    await expect(ticket.get(20)).rejects.toThrow(ResultTimeoutError);
    await expect(queue.result('nobody').get(PATIENCE)).rejects.toThrow(UnknownTaskError);
    const black = task(() => {
      throw new PermanentError('the film is black');
    });
    const options = { connection: { url }, prefix, name: fresh(), keepResults: { count: 0 } };
    const forgetful = new TaskQueue({ black }, options);
    onTestFinished(() => forgetful.close());
    const lost = await forgetful.delay('black', null);
    await expect(lost.get(0)).rejects.toThrow(ResultTimeoutError);
    const waiting = lost.get(PATIENCE).catch((error: unknown) => error);
    await settle(forgetful);
    await work(forgetful);
    expect(String(await waiting), 'a failure that is not kept').toContain('the film is black');
  });

  test('who waits without a limit waits until the result is there', async () => {
    const queue = open({ double });
    const ticket = await queue.delay('double', 2);
    // The second one, with the second that Redis has to answer, is longer than a timer can be.
    const ends = Promise.all([Number.POSITIVE_INFINITY, 2 ** 31 - 1_000].map((ms) => ticket.get(ms)));
    await Promise.race([ends, settle(queue)]);
    await work(queue);
    expect(await ends).toEqual([4, 4]);
  });

  test('who stops waiting for a result leaves the others who wait for it', async () => {
    const queue = open({ double });
    const ticket = await queue.delay('double', 2);
    await expect(ticket.get(0)).rejects.toThrow(ResultTimeoutError);
    holdTimers('performance');
    const end = ticket.get(HOUR);
    const hurried = ticket.get(500).catch((error: unknown) => error);
    await settle(queue);
    await vi.advanceTimersByTimeAsync(500);
    expect(await hurried).toBeInstanceOf(ResultTimeoutError);
    await work(queue);
    expect(await Promise.race([end, settle(queue)]), 'without another look').toBe(4);
  });

  test('who waits for a task that Redis has lost is not told that somebody took it back', async () => {
    const queue = open({ double });
    const ticket = await queue.delay('double', 1);
    await expect(ticket.get(0)).rejects.toThrow(ResultTimeoutError);
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    holdTimers();
    let outcome: unknown;
    const waiting = ticket.get(HOUR).catch((error: unknown) => {
      outcome = error;
    });
    await settle(queue);
    await client.del(await client.keys(`${prefix}:${queue.name}:*`));
    for (let look = 1; look <= 2; look++) {
      expect(outcome, `before he has looked again, ${look}`).toBeUndefined();
      await vi.advanceTimersByTimeAsync(1_000);
      await settle(queue);
    }
    await waiting;
    expect(outcome).toBeInstanceOf(UnknownTaskError);
  });

  test('who waits for a result is told in time, though Redis does not answer', async () => {
    const { near, lines } = await relayed();
    const queue = new TaskQueue({ double }, { connection: { url: near }, prefix, name: fresh() });
    onTestFinished(async () => {
      for (const [one, other] of lines) one.pipe(other);
      await queue.close();
    });
    const ticket = await queue.delay('double', 1);
    await expect(ticket.get(0)).rejects.toThrow(ResultTimeoutError);
    for (const [one, other] of lines) one.unpipe(other);
    holdTimers();
    const told = expect(ticket.get(20)).rejects.toThrow(ResultTimeoutError);
    await vi.advanceTimersByTimeAsync(1_020);
    await told;
  });

  test('a task sent twice with one id runs once, with the first payload', async () => {
    const ran: number[] = [];
    const queue = open({ pay: task((cents: number) => ran.push(cents)) });
    const first = await queue.delay('pay', 100, { id: 'order-7' });
    const second = await queue.delay('pay', 999, { id: 'order-7' });
    await work(queue);
    await Promise.all([first.get(PATIENCE), second.get(PATIENCE)]);
    await (await queue.delay('pay', 5, { id: 'order-7' })).get(PATIENCE);
    expect(ran).toEqual([100]);
  });

  test('a flow sent twice with one id runs once, also when it is done', async () => {
    const ran: number[] = [];
    const queue = open({ scan: task((film: number) => ran.push(film)), list });
    const chord = () => queue.chord([queue.s('scan', 1), queue.s('scan', 2)], 'list', { id: 'album' });
    const chain = () => queue.chain(queue.s('scan', 3, { id: 'roll' }), 'scan', 'scan');
    const waiting = await Promise.all([chord(), chain(), chord(), chain()]);
    await work(queue);
    await Promise.all(waiting.map((ticket) => ticket.get(PATIENCE)));
    expect(await Promise.all([(await chord()).get(PATIENCE), (await chain()).get(PATIENCE)])).toEqual(
      await Promise.all(waiting.slice(0, 2).map((ticket) => ticket.get(PATIENCE))),
    );
    for (const job of await queue.bull.getCompleted())
      if (!['album', 'roll'].includes(job.id ?? '')) await job.remove();
    await Promise.all([chord(), chain()]);
    await settle(queue);
    expect(ran.length, 'also when only the last result is still kept').toBe(5);
    expect(await queue.bull.getJobCountByTypes('wait', 'waiting-children', 'prioritized', 'active')).toBe(0);
  });

  test('a flow that two send at once under one id is one flow', async () => {
    const ran: number[] = [];
    const { promise: enough, resolve: end } = gate();
    const broken = task((film: number): number => {
      ran.push(film);
      throw new PermanentError('the film is black');
    });
    const queue = open({ broken, late: task((n: number) => enough.then(() => n)), list });
    await work(queue, { concurrency: 2 });
    const send = () =>
      queue.chord([queue.s('broken', 1), queue.s('late', 2)], 'list', { id: 'album', onFailure: 'skip' });
    // The one who has looked first, and adds last: unless the other one waits for him.
    const add = FlowProducer.prototype.add;
    let other: ReturnType<typeof send> | undefined;
    const spy = vi.spyOn(FlowProducer.prototype, 'add').mockImplementationOnce(async function (
      this: FlowProducer,
      flow,
    ) {
      other = send();
      await Promise.race([other.then(() => until(() => ran.length > 0, { what: 'the part to fail' })), settle(queue)]);
      return add.call(this, flow);
    });
    onTestFinished(() => spy.mockRestore());
    const tickets = await Promise.all([send(), until(() => other, { what: 'the other one to send' })]);
    end();
    expect(await Promise.all(tickets.map((ticket) => ticket.get(PATIENCE)))).toEqual(['2', '2']);
    expect(ran).toEqual([1]);
  });

  test('no part of a flow is a task that somebody has sent under an id of his own', async () => {
    const keys: string[] = [];
    const print = task(async (n: number, { id }) => {
      keys.push(id);
      // What follows from a task has an id that follows from its own.
      await queue.delay('list', [n], { id: `list of ${id}` });
      return n * 2;
    });
    const queue = open({ print, list });
    await work(queue);
    const album = await queue.chord([queue.s('print', 1), queue.s('print', 2)], 'list', { id: 'album' });
    expect(await album.get(PATIENCE)).toBe('2 4');
    for (const id of ['box.0', 'box-0', 'box/1', 'box 1', 'box#0', 'album#1']) {
      const sent = queue.delay('print', 50, { id }).then((ticket) => ticket.get(PATIENCE));
      await sent.catch((error: unknown) => expect(error).toBeInstanceOf(InvalidArgumentError));
    }
    const box = await queue.chord([queue.s('print', 1), queue.s('print', 2)], 'list', { id: 'box' });
    expect(await box.get(PATIENCE)).toBe('2 4');
    expect(new Set(keys).size, 'idempotency keys').toBe(keys.length);
  });

  test('a task that fails by the words of BullMQ leads nobody to another task, nor round in a circle', async () => {
    const quoting = task(async (other: string) => {
      throw new PermanentError(`child process of order:${other} failed`);
    });
    const queue = open({ quoting });
    await work(queue);
    const ends = ['first', 'second'].map(async (id) =>
      (await queue.delay('quoting', 'first', { id })).get(PATIENCE).catch(String),
    );
    const told = (id: string) => `TaskFailedError: Task quoting (${id}) failed: child process of order:first failed`;
    expect(await Promise.all(ends)).toEqual([told('first'), told('second')]);
  });

  test('a task that throws an error by the name of one of BullMQ is tried again as any other', async () => {
    const named =
      (name: string) =>
      async (_: null, { attempt }: { attempt: number }) => {
        if (attempt === 1) throw Object.assign(new Error('of the train'), { name });
        return attempt;
      };
    const retry = { baseMs: 1 };
    const queue = open({
      late: task(named('DelayedError'), { retry }),
      waiting: task(named('WaitingError'), { retry }),
      derailed: task(named('UnrecoverableError'), { retry }),
    });
    await work(queue, { concurrency: 3 });
    const trains = await queue.group([queue.s('late', null), queue.s('waiting', null), queue.s('derailed', null)]);
    expect(await trains.get(PATIENCE)).toEqual([2, 2, 2]);
  });

  test('what no retry can mend is not tried again, its stack is kept, and there is a reason for every failure', async () => {
    const runs: string[] = [];
    const queue = open({
      unstorable: task(() => {
        runs.push('unstorable');
        return JSON.parse('{}', () => 7n);
      }),
      black: task(function blackFilm() {
        runs.push('black');
        throw new PermanentError('the film is black');
      }),
      half: task(() => Number.NaN),
      card: task(() => {
        throw new PermanentError('revoked');
      }),
      dial: task(
        () => {
          throw new AggregateError([new Error('::1 refused it'), new Error('127.0.0.1 refused it')]);
        },
        { retry: { attempts: 1 } },
      ),
      mute: task(function muteFilm() {
        throw new PermanentError('');
      }),
      bare: task(() => Promise.reject(null), { retry: { attempts: 1 } }),
    });
    await work(queue);
    const [dial, mute] = [await queue.delay('dial', null), await queue.delay('mute', null)];
    await expect((await queue.delay('bare', null)).get(PATIENCE)).rejects.toThrow(/failed: null$/);
    await expect(dial.get(PATIENCE)).rejects.toThrow(/failed: Error: ::1 refused it; Error: 127/);
    await expect(mute.get(PATIENCE)).rejects.toThrow(/failed: PermanentError$/);
    await expect((await queue.delay('half', null)).get(PATIENCE)).rejects.toThrow(/can't be stored: JSON has no NaN/);
    const refused = await (await queue.delay('card', null)).get(PATIENCE).catch((error: unknown) => error);
    expect(refused, 'the task said so, and nobody took it back').not.toBeInstanceOf(TaskRevokedError);
    const [unstorable, black] = [await queue.delay('unstorable', undefined), await queue.delay('black', undefined)];
    await expect(unstorable.get(PATIENCE)).rejects.toThrow(/its result can't be stored: .*BigInt/);
    await expect(black.get(PATIENCE)).rejects.toThrow(/the film is black/);
    await queue.bull.add('constructor', { payload: 1 }, { jobId: 'foreign', attempts: 3 });
    await expect(queue.result('foreign').get(PATIENCE)).rejects.toThrow(/no task is named constructor/);
    expect(runs).toEqual(['unstorable', 'black']);
    expect((await queue.bull.getJob(black.id))?.stacktrace?.join()).toContain('blackFilm');
    expect((await queue.bull.getJob(mute.id))?.stacktrace?.join()).toContain('muteFilm');
  });

  test('urgent overtakes normal, and normal overtakes background', async () => {
    const order: string[] = [];
    const queue = open({ print: task((name: string) => void order.push(name)) });
    const sent = [
      await queue.delay('print', 'background', { priority: 'background' }),
      await queue.delay('print', 'normal 1'),
      await queue.delay('print', 'normal 2'),
      await queue.delay('print', 'urgent', { priority: 'urgent' }),
    ];
    await work(queue);
    await Promise.all(sent.map((ticket) => ticket.get(PATIENCE)));
    expect(order).toEqual(['urgent', 'normal 1', 'normal 2', 'background']);
  });

  test('no task runs before its time', async () => {
    const queue = open({ when: task(() => Date.now()) });
    const soon = () => Date.now() + 150;
    const [one, two] = [
      { due: soon(), sent: queue.delay('when', null, { countdownMs: 150 }) },
      { due: soon(), sent: queue.delay('when', null, { eta: new Date(soon()) }) },
    ];
    const tickets = await Promise.all([one.sent, two.sent]);
    expect(await Promise.all(tickets.map((ticket) => ticket.state()))).toEqual(['delayed', 'delayed']);
    await work(queue, { concurrency: 2 });
    expect(await tickets[0].get(PATIENCE)).toBeGreaterThanOrEqual(one.due);
    expect(await tickets[1].get(PATIENCE)).toBeGreaterThanOrEqual(two.due);
  });

  test('a task that nobody took before it expires never runs', async () => {
    const ran: string[] = [];
    const queue = open({
      remind: task((whom: string) => void ran.push(whom)),
      again: task(
        async (_: null, { id, attempt }) => {
          if (attempt === 2) return 'in the second run';
          await (await queue.bull.getJob(id))?.updateData({ payload: null, expires: Date.now() - 1 });
          throw new Error('the line is busy');
        },
        { retry: { attempts: 2, baseMs: 1 } },
      ),
    });
    const late = await queue.delay('remind', 'Li', { expires: new Date(Date.now() - 1) });
    const timely = await queue.delay('remind', 'Wang', { expires: new Date(Date.now() + HOUR) });
    await work(queue);
    await expect(late.get(PATIENCE)).rejects.toThrow(TaskExpiredError);
    await timely.get(PATIENCE);
    expect(ran).toEqual(['Wang']);
    const begun = await queue.delay('again', null, { expires: new Date(Date.now() + HOUR) });
    expect(await begun.get(PATIENCE), 'what was begun in time is tried again').toBe('in the second run');
  });

  test('a task tells how far it is', async () => {
    const { promise: enough, resolve } = gate();
    const queue = open({
      scan: task(async (_: null, { progress }) => {
        await progress(40);
        await enough;
      }),
    });
    const ticket = await queue.delay('scan', null);
    expect(await ticket.progress()).toBe(0);
    await work(queue);
    await until(async () => (await ticket.progress()) === 40, { what: '40 %' });
    resolve();
    await ticket.get(PATIENCE);
  });

  // ── several tasks ─────────────────────────────────────────────────────────────────────────────────────────────────

  test('the results of a group come in the order of its signatures', async () => {
    const { promise: last, resolve } = gate();
    const queue = open({ slow: task(() => last.then(() => 'slow')), fast: task(() => void resolve()), double });
    await work(queue, { concurrency: 3 });
    const group = await queue.group([queue.s('slow', null), queue.s('fast', null), queue.s('double', 4)]);
    expect(await group.get(PATIENCE)).toEqual(['slow', null, 8]);
  });

  test('a chain hands each result to the next task, the first one first', async () => {
    const queue = open({ double, text });
    await work(queue);
    const ticket = await queue.chain(queue.s('double', 3), 'double', 'double', 'double', 'double', 'text');
    expect(await ticket.get(PATIENCE)).toBe('96 prints');
  });

  test('a chain is as urgent, and as soon pointless, in each of its links as in its first', async () => {
    const ran: number[] = [];
    const expires = new Date(Date.now() + 1_000);
    const slow = task(async (n: number) => {
      await until(() => Date.now() > expires.getTime(), { what: 'its end' });
      return n;
    });
    const queue = open({ slow, print: task((n: number) => ran.push(n)) });
    const { id } = await queue.chain(queue.s('slow', 1, { priority: 'urgent', expires }), 'print');
    expect((await queue.bull.getJob(id))?.priority).toBe(1);
    await work(queue);
    await expect(queue.result(id).get(PATIENCE)).rejects.toThrow(TaskExpiredError);
    expect(ran).toEqual([]);
  });

  test('the callback of a chord gets the results in the order of the signatures', async () => {
    const { promise: others, resolve } = gate();
    const queue = open({ first: task(() => others.then(() => 1)), other: task((n: number) => n), list });
    await work(queue, { concurrency: 3 });
    const rest = [2, 3, 4, 5, 6, 7, 8, 9].map((n) => queue.s('other', n));
    const ticket = await queue.chord([queue.s('first', null), ...rest], 'list');
    await until(async () => (await queue.bull.getCompletedCount()) === rest.length, { what: 'the others to be done' });
    resolve();
    expect(await ticket.get(PATIENCE)).toBe('1 2 3 4 5 6 7 8 9');
  });

  const broken = task((_: null): number => {
    throw new PermanentError('the film is black');
  });

  test('a chord with a failed task fails, and so does a chain, and both name the culprit', async () => {
    const queue = open({ double, broken, list });
    await work(queue);
    const chord = await queue.chord([queue.s('double', 1), queue.s('broken', null)], 'list');
    await until(async () => (await queue.bull.getFailedCount()) > 0, { what: 'the task to fail' });
    expect(await chord.state()).not.toBe('waiting-children');
    await expect(chord.get(PATIENCE)).rejects.toThrow(/Task broken .* the film is black/);
    const chain = await queue.chain(queue.s('broken', null, { id: 'roll of Li' }), 'double', 'double');
    await expect(chain.get(PATIENCE)).rejects.toThrow(/Task broken .* the film is black/);
  });

  test('a chord that may skip gets the results of the others', async () => {
    const queue = open({ double, broken, list });
    await work(queue);
    const head = [queue.s('double', 1), queue.s('broken', null), queue.s('double', 3)] as const;
    const ticket = await queue.chord(head, 'list', { onFailure: 'skip' });
    expect(await ticket.get(PATIENCE)).toBe('2 6');
  });

  // ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a failed task is tried again under the same id, as often as its policy says', async () => {
    const runs: (readonly [string, number])[] = [];
    const fail = (_: null, { id, attempt }: { id: string; attempt: number }) => {
      runs.push([id, attempt]);
      throw new Error(`paper jam ${attempt}`);
    };
    const queue = open({ print: task(fail, { retry: { attempts: 3, baseMs: 1 } }) });
    await work(queue);
    const ticket = await queue.delay('print', null);
    await expect(ticket.get(PATIENCE)).rejects.toThrow('paper jam 3');
    expect(runs).toEqual([1, 2, 3].map((attempt) => [ticket.id, attempt]));
  });

  test('a task that one worker does not know yet is tried again, and another one runs it', async () => {
    const [name, tasks] = [fresh(), { print: task((n: number) => `photo ${n}`, { retry: { baseMs: HOUR } }) }];
    const queue = open(tasks, name);
    const old = await work(open({}, name));
    const ticket = await queue.delay('print', 7);
    const failed = await until(async () => (await queue.bull.getJobs(['delayed', 'failed'])).at(0), {
      what: 'the old worker to take it',
    });
    await old.close();
    expect(failed.failedReason).toMatch(/no task is named print/);
    await work(queue);
    await failed.promote().catch(() => {});
    expect(await ticket.get(PATIENCE)).toBe('photo 7');
  });

  test('a task that comes through in the end has not failed', async () => {
    const jam = (_: null, { attempt }: { attempt: number }) => {
      if (attempt < 3) throw new Error('paper jam');
      return attempt;
    };
    const queue = open({ print: task(jam, { retry: { attempts: 3, baseMs: 1 } }), list });
    await work(queue);
    expect(await (await queue.delay('print', null)).get(PATIENCE)).toBe(3);
    expect(await (await queue.chord([queue.s('print', null)], 'list')).get(PATIENCE)).toBe('3');
  });

  test('a permanent error is not tried again', async () => {
    let runs = 0;
    class CardStolenError extends PermanentError {}
    const charge = (_: null) => {
      runs += 1;
      throw new CardStolenError('the card is stolen');
    };
    const queue = open({ charge: task(charge, { retry: { attempts: 5, baseMs: 1 } }) });
    await work(queue);
    await expect((await queue.delay('charge', null)).get(PATIENCE)).rejects.toThrow('the card is stolen');
    expect(runs).toBe(1);
  });

  test('those that failed together do not come back together', async () => {
    const crash = (_: number) => {
      throw new Error('the lab has no power');
    };
    const queue = open({ develop: task(crash, { retry: { attempts: 3, baseMs: HOUR } }) });
    await queue.group(Array.from({ length: 20 }, (_, film) => queue.s('develop', film)));
    await work(queue, { concurrency: 20 });
    await until(async () => (await queue.bull.getDelayedCount()) === 20, { what: '20 tasks to wait for a retry' });
    const waits = (await queue.bull.getDelayed()).map(({ delay }) => delay);
    expect(new Set(waits).size, `waits of ${waits} ms`).toBeGreaterThan(10);
    expect(Math.max(...waits)).toBeLessThanOrEqual(HOUR);
  });

  test('a task that runs for longer than its soft limit is told by its signal', async () => {
    const listen = (_: null, { signal }: { signal: AbortSignal }) =>
      new Promise<void>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    const seen: unknown[] = [];
    const { promise: runs, resolve } = gate();
    const scan = (_: null, context: { signal: AbortSignal }) => {
      resolve();
      return listen(_, context).catch((error: unknown) => void seen.push(error));
    };
    const queue = open({ scan: task(scan, { softLimitMs: HOUR }) });
    const clock = new ManualClock();
    await work(queue, { after: clock.after });
    const ticket = await queue.delay('scan', null);
    await runs;
    await clock.advance(HOUR - 1);
    expect(seen).toEqual([]);
    await clock.advance(1);
    await ticket.get(PATIENCE);
    expect(seen[0]).toBeInstanceOf(SoftTimeLimitError);
  });

  // ── threads ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** To start a thread is work for a busy machine: what a law about threads may take in all, and wait for a result. */
  const LONG = { timeout: 20_000 };
  const LONG_PATIENCE = 15_000;

  /** Hears what tasks in threads say; a line is closed when its thread has ended. */
  const switchboard = async () => {
    let said = '';
    const lines = new Set<unknown>();
    const server = createServer((line) => {
      lines.add(line);
      line.on('data', (text) => {
        said += text;
      });
      line.on('error', () => {});
      line.on('close', () => lines.delete(line));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const address = server.address();
    return {
      port: typeof address === 'object' ? (address?.port ?? 0) : 0,
      hears: (what: string) =>
        until(() => said.includes(what), { timeoutMs: LONG_PATIENCE, what: `"${what}" to be said` }),
      silence: () => until(() => lines.size === 0, { timeoutMs: 1_000, what: 'the thread to end' }),
    };
  };
  const inThread = (softLimitMs = HOUR) =>
    sandboxed<typeof run>(module, { softLimitMs, hardLimitMs: 2 * HOUR, retry: { attempts: 1 } });

  test('a task in a thread of its own gives and throws what it would without, and may crash', LONG, async () => {
    const patient = sandboxed<typeof run>(module, { hardLimitMs: HOUR, retry: { attempts: 3, baseMs: 1 } });
    const queue = open({ once: inThread(), patient });
    await work(queue, { concurrency: 3 });
    const send = (name: 'once' | 'patient', act: Exclude<Order, { port: number }>['act']) => queue.delay(name, { act });
    const [told, chatted, forgot, refused, crashed] = await Promise.all([
      send('once', 'tell'),
      send('once', 'chat'),
      send('patient', 'forget'),
      send('patient', 'refuse'),
      send('once', 'crash'),
    ]);
    expect(await told.get(LONG_PATIENCE)).toBe(`${told.id} in run 1`);
    expect(await told.progress()).toBe(40);
    expect(await chatted.get(LONG_PATIENCE)).toBe(`${chatted.id} in run 1`);
    await expect(refused.get(LONG_PATIENCE)).rejects.toThrow('refused in run 1');
    await expect(crashed.get(LONG_PATIENCE)).rejects.toThrow('its thread ended with code 7');
    await expect(forgot.get(LONG_PATIENCE)).rejects.toThrow(/its result can't be stored: #<Promise>/);
    expect((await queue.bull.getJob(forgot.id))?.attemptsMade, 'runs that had their effect').toBe(1);
  });

  test('what a task in a thread has printed is read before the thread is ended', LONG, async () => {
    let printed = '';
    const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += text;
      if (!String(text).startsWith('print 0 of')) return true;
      // Where it goes is slow.
      setTimeout(() => process.stdout.emit('drain'), 100);
      return false;
    });
    onTestFinished(() => write.mockRestore());
    const queue = open({ once: inThread() });
    await work(queue);
    const ticket = await queue.delay('once', { act: 'print' });
    await ticket.get(LONG_PATIENCE);
    await queue.close();
    expect(printed.split(`of ${ticket.id}`).length - 1, 'lines of 50').toBe(50);
  });

  test('a task that ignores its soft limit is ended at its hard limit, and its place is free', LONG, async () => {
    const clock = new ManualClock();
    const { port, hears, silence } = await switchboard();
    const queue = open({ scan: inThread(), double });
    await work(queue, { after: clock.after });
    const ticket = await queue.delay('scan', { act: 'wait', port });
    const next = await queue.delay('double', 21);
    await hears('begun');
    await clock.advance(HOUR);
    await hears('SoftTimeLimitError');
    await clock.advance(HOUR - 1);
    await settle(queue);
    expect(await ticket.state()).toBe('active');
    await clock.advance(1);
    await expect(ticket.get(LONG_PATIENCE)).rejects.toThrow(HardTimeLimitError);
    expect(await next.get(LONG_PATIENCE)).toBe(42);
    await silence();
  });

  test('a loop that never yields is ended too, and holds up nobody meanwhile', LONG, async () => {
    const clock = new ManualClock();
    const { port, hears, silence } = await switchboard();
    const queue = open({ scan: inThread(), double });
    await work(queue, { concurrency: 2, after: clock.after });
    const ticket = await queue.delay('scan', { act: 'loop', port });
    await hears('begun');
    expect(await (await queue.delay('double', 21)).get(LONG_PATIENCE)).toBe(42);
    await clock.advance(2 * HOUR);
    await expect(ticket.get(LONG_PATIENCE)).rejects.toThrow(HardTimeLimitError);
    await silence();
  });

  test('a revoked task that ignores it is ended at its hard limit as well', LONG, async () => {
    const clock = new ManualClock();
    const { port, hears, silence } = await switchboard();
    const queue = open({ scan: inThread() });
    await work(queue, { after: clock.after });
    const ticket = await queue.delay('scan', { act: 'wait', port });
    await hears('begun');
    expect(await queue.revoke(ticket.id)).toBe(1);
    await hears('TaskRevokedError');
    await clock.advance(2 * HOUR);
    await expect(ticket.get(LONG_PATIENCE)).rejects.toThrow(TaskRevokedError);
    await silence();
  });

  // ── lost locks ────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a worker that has lost its lock is told by the signal of its task', async () => {
    const { promise: begun, resolve: begin } = gate();
    const { promise: enough, resolve } = gate();
    const reasons: unknown[] = [];
    const queue = open({
      scan: task(async (_: null, { signal }) => {
        signal.addEventListener('abort', () => reasons.push(signal.reason));
        begin();
        await enough;
      }),
    });
    const { bull } = await work(queue, { lockMs: 300, stalledCheckMs: HOUR });
    const noticed = once(bull, 'lockRenewalFailed');
    const { id } = await queue.delay('scan', null);
    await begun;
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    // As another worker does that has found this one to stand still.
    await client.del(`${prefix}:${queue.name}:${id}:lock`);
    await noticed;
    await turn();
    resolve();
    expect(reasons[0]).toBeInstanceOf(LockLostError);
  });

  test('a task that runs again in the worker that had lost it is told of a revoke all the same', async () => {
    const runs: { readonly signal: AbortSignal; readonly end: () => void }[] = [];
    const scan = task((_: null, { signal }) => new Promise<void>((end) => void runs.push({ signal, end })));
    const queue = open({ scan });
    await work(queue, { concurrency: 2, lockMs: HOUR, stalledCheckMs: 100, maxStalls: 9 });
    const { id } = await queue.delay('scan', null);
    await until(() => runs.length === 1, { what: 'the first run' });
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    await client.del(`${prefix}:${queue.name}:${id}:lock`);
    await until(() => runs.length === 2, { what: 'the second run' });
    runs[0]?.end();
    await settle(queue);
    onTestFinished(() => runs[1]?.end());
    await queue.revoke(id);
    await until(() => runs[1]?.signal.aborted, { what: 'the abort' });
  });

  test(
    'a task that runs again in the worker that had lost it keeps its lock, and the run before is told',
    LONG,
    async () => {
      const runs: { readonly signal: AbortSignal; readonly end: () => void }[] = [];
      const scan = task((_: null, { signal }) => new Promise<void>((end) => void runs.push({ signal, end })));
      const queue = open({ scan });
      const { bull } = await work(queue, { concurrency: 2, lockMs: 2_000, stalledCheckMs: 100, maxStalls: 9 });
      const { id } = await queue.delay('scan', null);
      await until(() => runs.length === 1, { what: 'the first run' });
      onTestFinished(() => {
        for (const { end } of runs) end();
      });
      const client = new Redis(url);
      onTestFinished(() => client.disconnect());
      await client.del(`${prefix}:${queue.name}:${id}:lock`);
      await until(() => runs.length === 2, { what: 'the second run' });
      expect(runs[0]?.signal.reason).toBeInstanceOf(LockLostError);
      runs[0]?.end();
      await settle(queue);
      // Where nobody renews it, a third run begins beside the second, which isn't told.
      const [renewed] = await once(bull, 'locksRenewed', { signal: AbortSignal.timeout(PATIENCE) });
      expect(renewed.jobIds).toEqual([id]);
      expect(runs[1]?.signal.aborted).toBe(false);
    },
  );

  // ── changed minds ─────────────────────────────────────────────────────────────────────────────────────────────────

  test('a task revoked while it waits never runs, and who waits for it is told', async () => {
    const ran: string[] = [];
    const queue = open({ print: task((name: string) => void ran.push(name)) });
    const ticket = await queue.delay('print', 'a mistake', { countdownMs: HOUR });
    // The feed of results is connected now.
    await expect(ticket.get(0)).rejects.toThrow(ResultTimeoutError);
    const outcome = expect(ticket.get(PATIENCE)).rejects.toThrow(TaskRevokedError);
    // The one who waits has looked before the task is gone.
    await settle(queue);
    expect(await queue.revoke(ticket.id)).toBe(1);
    await outcome;
    await work(queue);
    await (await queue.delay('print', 'a portrait')).get(PATIENCE);
    expect(ran).toEqual(['a portrait']);
    expect(await queue.revoke(ticket.id)).toBe(0);
  });

  /** Runs until its signal aborts. */
  const endless = (runs: unknown[]) =>
    task((_: null, { id, signal }) => {
      runs.push(id);
      return new Promise<number>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')));
      });
    });

  test('a task revoked while it runs is told by its signal, and not tried again', async () => {
    const runs: unknown[] = [];
    const name = fresh();
    const tasks = { scan: endless(runs) };
    await work(open(tasks, name));
    const desk = open(tasks, name);
    const ticket = await desk.delay('scan', null);
    await until(() => runs.length > 0, { what: 'the task to run' });
    expect(await desk.revoke(ticket.id)).toBe(1);
    await expect(ticket.get(PATIENCE)).rejects.toThrow(TaskRevokedError);
    expect(runs).toEqual([ticket.id]);
  });

  test('a revoked task is not tried again, though its soft limit came first', async () => {
    const clock = new ManualClock();
    const { promise: enough, resolve } = gate();
    const signals: AbortSignal[] = [];
    const scan = async (_: null, { signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      await enough;
      throw new Error('stopped');
    };
    const queue = open({ scan: task(scan, { softLimitMs: HOUR, retry: { attempts: 3, baseMs: 1 } }) });
    const { bull } = await work(queue, { after: clock.after });
    const ticket = await queue.delay('scan', null);
    await until(() => signals.length === 1, { what: 'the task to run' });
    await clock.advance(HOUR);
    expect(await queue.revoke(ticket.id)).toBe(1);
    await settle(queue);
    const ended = once(bull, 'failed');
    resolve();
    await ended;
    await expect(ticket.get(PATIENCE)).rejects.toThrow(TaskRevokedError);
    expect(signals.length).toBe(1);
  });

  test('a revoked task has been taken back, however long it takes to end', async () => {
    const { promise: begun, resolve: begin } = gate();
    const { promise: enough, resolve: end } = gate();
    const scan = async () => {
      begin();
      await enough;
      throw new Error('stopped');
    };
    const queue = open({ scan: task(scan, { retry: { attempts: 1 } }) });
    const { bull } = await work(queue);
    const ticket = await queue.delay('scan', null);
    await begun;
    holdTimers();
    expect(await queue.revoke(ticket.id)).toBe(1);
    await settle(queue);
    await vi.advanceTimersByTimeAsync(10_000);
    const ended = once(bull, 'failed');
    end();
    await ended;
    vi.useRealTimers();
    await expect(ticket.get(PATIENCE)).rejects.toThrow(TaskRevokedError);
  });

  test('a strike of a schedule that loses its workers fails as any other task does', async () => {
    const runs: (() => void)[] = [];
    const queue = open({ scan: task(() => new Promise<void>((end) => void runs.push(end))) });
    const client = new Redis(url);
    onTestFinished(() => {
      client.disconnect();
      for (const end of runs) end();
    });
    await work(queue, { concurrency: 3, lockMs: HOUR, stalledCheckMs: 50, maxStalls: 1 });
    await queue.beat('nightly', { everyMs: HOUR }, 'scan', null);
    const [strike] = await until(async () => {
      const active = await queue.bull.getActive();
      return active.length > 0 ? active : undefined;
    });
    const id = strike?.id ?? '';
    for (const stall of [1, 2]) {
      await until(() => runs.length === stall, { what: `run ${stall}` });
      await client.del(`${prefix}:${queue.name}:${id}:lock`);
    }
    await expect(queue.result(id).get(PATIENCE)).rejects.toThrow(TaskFailedError);
    expect(runs.length).toBe(2);
    expect(await queue.bull.getDelayedCount()).toBe(1);
  });

  test('what failed since it lost its workers runs again when somebody tries it again by hand', async () => {
    const runs: ((seen: string) => void)[] = [];
    const queue = open({ scan: task(() => new Promise<string>((end) => void runs.push(end))) });
    const client = new Redis(url);
    onTestFinished(() => {
      client.disconnect();
      for (const end of runs) end('late');
    });
    await work(queue, { concurrency: 6, lockMs: HOUR, stalledCheckMs: 50, maxStalls: 0 });
    await queue.beat('nightly', { everyMs: HOUR }, 'scan', null);
    const [strike] = await until(async () => {
      const active = await queue.bull.getActive();
      return active.length > 0 ? active : undefined;
    });
    const sent = await queue.delay('scan', null);
    await until(() => runs.length === 2, { what: 'both to run' });
    for (const id of [strike?.id ?? '', sent.id]) {
      await client.del(`${prefix}:${queue.name}:${id}:lock`);
      await expect(queue.result(id).get(PATIENCE)).rejects.toThrow(TaskFailedError);
      const before = runs.length;
      await (await queue.bull.getJob(id))?.retry();
      await until(() => runs.length > before, { what: 'it to run again' });
      runs.at(-1)?.('seen');
      expect(await queue.result(id).get(PATIENCE)).toBe('seen');
    }
  });

  test('a task revoked after its worker has died does not run again', async () => {
    const runs: unknown[] = [];
    const [name, tasks] = [fresh(), { scan: endless(runs) }];
    const [dead, queue] = [open(tasks, name), open(tasks, name)];
    const { bull } = await work(dead, { stalledCheckMs: 50 });
    const ticket = await queue.delay('scan', null);
    await until(() => runs.length === 1, { what: 'the task to run' });
    await bull.close(true);
    expect(await queue.revoke(ticket.id)).toBe(1);
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    await client.del(`${prefix}:${name}:${ticket.id}:lock`);
    await work(queue, { stalledCheckMs: 50, maxStalls: 9 });
    await expect(ticket.get(PATIENCE)).rejects.toThrow(TaskRevokedError);
    expect(runs.length).toBe(1);
  });

  test('nothing runs without the part that was revoked, unless it may skip', async () => {
    const ran: string[] = [];
    const bind = task((prints: number[]) => ran.push(prints.join()));
    const next = task((n: number) => ran.push(`${n}`));
    const queue = open({ double, bind, next });
    const later = queue.s('double', 2, { countdownMs: HOUR });
    const chain = await queue.chain({ ...later, options: { ...later.options, id: 'roll' } }, 'next', 'next');
    const chord = await queue.chord([queue.s('double', 1), later], 'bind', { id: 'album' });
    const skips = await queue.chord([queue.s('double', 3), later], 'bind', { id: 'box', onFailure: 'skip' });
    const parts = await queue.bull.getDelayed();
    expect(await Promise.all(parts.map((part) => queue.revoke(part.id ?? '')))).toEqual([1, 1, 1]);
    await work(queue);
    await skips.get(PATIENCE);
    await expect(chain.get(PATIENCE)).rejects.toThrow(TaskRevokedError);
    await expect(chord.get(PATIENCE)).rejects.toThrow(TaskRevokedError);
    expect(ran).toEqual(['6']);
  });

  test('a flow that was taken back while a part of it ran can be sent again', async () => {
    const { promise: begun, resolve: begin } = gate();
    let last = false;
    const scan = task((_: null, { signal }) => {
      if (last) return 1;
      begin();
      return new Promise<number>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')));
      });
    });
    const queue = open({ scan, double, list });
    await work(queue);
    const send = () => queue.chord([queue.s('scan', null), queue.s('double', 2)], 'list', { id: 'album' });
    await send();
    await begun;
    await queue.revoke('album');
    await until(async () => (await queue.bull.getFailedCount()) > 0, { what: 'its part to end' });
    last = true;
    expect(await (await send()).get(PATIENCE)).toBe('1 4');
  });

  test('a flow that is sent again with other parts, once it was taken back, takes no result of the old ones', async () => {
    const made: number[] = [];
    const print = task((n: number) => {
      made.push(n);
      return n;
    });
    const queue = open({ print, double, text, list });
    const roll = (n: number) => queue.chain(queue.s('print', n, { id: 'roll' }), 'double', 'text');
    const later = queue.s('double', 2, { countdownMs: HOUR });
    await queue.chord([queue.s('print', 1), queue.s('print', 2), later], 'list', { id: 'album' });
    const worker = await work(queue);
    await until(async () => (await queue.bull.getCompletedCount()) === 2, { what: 'the first to be done' });
    await queue.revoke('album');
    const films = await queue.chord([queue.s('print', 7), queue.s('print', 2)], 'list', { id: 'album' });
    expect(await films.get(PATIENCE)).toBe('7 2');
    expect(made.slice(2)).toContain(7);
    await (await roll(1)).get(PATIENCE);
    await worker.close();
    // As the board does it, and as Redis does where results are kept for a while only.
    await queue.bull.remove('roll', { removeChildren: false });
    const again = await roll(5);
    await work(queue);
    expect(await again.get(PATIENCE)).toBe('10 prints');
    // The same part in a flow of another shape: BullMQ tells the parent that it had first, and no other.
    await queue.bull.remove('roll', { removeChildren: false });
    const short = await queue.chord([queue.s('print', 5)], 'list', { id: 'roll' });
    expect(await short.get(PATIENCE)).toBe('5');
  });

  test('a flow that is sent again gets its own results under the same ids, though an old part still runs', async () => {
    const { promise: enough, resolve: end } = gate();
    const ids: string[] = [];
    const print = task(async (n: number, { id }) => {
      if (ids.push(id) % 2 === 1) await enough;
      return n;
    });
    const queue = open({ print, list });
    onTestFinished(() => end());
    await work(queue, { concurrency: 3 });
    const sent: Promise<string>[] = [];
    for (const [id, again] of Object.entries({ same: 1, other: 7 })) {
      const send = (n: number) => queue.chord([queue.s('print', n)], 'list', { id });
      const runs = ids.length;
      await send(1);
      await until(() => ids.length > runs, { what: 'the part to begin' });
      await queue.revoke(id);
      sent.push(send(again).then((ticket) => ticket.get(PATIENCE).catch(String)));
      await until(() => ids.length > runs + 1, { what: 'the new part to begin' });
    }
    expect(await Promise.all(sent)).toEqual(['1', '7']);
    end();
    await until(async () => (await queue.bull.getActiveCount()) === 0, { what: 'the old parts to end' });
    expect(await queue.result('other').get(PATIENCE)).toBe('7');
    expect(new Set(ids).size, 'a part has one idempotency key').toBe(2);
  });

  test('a flow that is sent again while what was taken back of it ends does not wait for ever', async () => {
    const begun = new Map<string, () => void>();
    const scan = task((_: null, { id }) => {
      if (begun.has(id)) return 1;
      return new Promise<number>((_resolve, reject) => {
        begun.set(id, () => reject(new PermanentError('stopped')));
      });
    });
    const queue = open({ scan, double, list });
    await work(queue, { concurrency: 4 });
    const parts = () => [queue.s('scan', null), queue.s('double', 2)];
    const flows = {
      album: () => queue.chord(parts(), 'list', { id: 'album' }),
      print: () => queue.chord(parts(), 'list', { id: 'print', onFailure: 'skip' }),
      roll: () => queue.chain(queue.s('scan', null, { id: 'roll' }), 'double', 'double'),
    };
    for (const [id, send] of Object.entries(flows)) {
      const runs = begun.size;
      await send();
      await until(() => begun.size > runs, { what: 'the part to begin' });
      await queue.revoke(id);
      // It ends when it has been looked at, and before the flow is there again.
      const add = FlowProducer.prototype.add;
      const spy = vi.spyOn(FlowProducer.prototype, 'add').mockImplementationOnce(async function (
        this: FlowProducer,
        flow,
      ) {
        const before = await queue.bull.getFailedCount();
        [...begun.values()].at(-1)?.();
        await until(async () => (await queue.bull.getFailedCount()) > before, { what: 'the part to end' });
        return add.call(this, flow);
      });
      onTestFinished(() => spy.mockRestore());
      expect(await (await send()).get(PATIENCE)).toBe(id === 'roll' ? 4 : '1 4');
    }
  });

  test('a revoke that races with the workers says how many it met, and stops them', LONG, async () => {
    const queue = open({ double, list, scan: endless([]) });
    const tickets = await Promise.all(Array.from({ length: 200 }, (_, film) => queue.delay('double', film)));
    const chords = Array.from({ length: 40 }, () => queue.chord([queue.s('double', 1), queue.s('double', 2)], 'list'));
    const all = [...tickets, ...(await Promise.all(chords))];
    await work(queue, { concurrency: 20 });
    const met = await Promise.all(all.map(({ id }) => queue.revoke(id)));
    expect(met.filter((count) => count < 0 || count > 3)).toEqual([]);
    const scan = async () => queue.revoke((await queue.delay('scan', null)).id);
    for (let round = 0; round < 6; round++) await Promise.all(Array.from({ length: 20 }, scan));
    await until(async () => (await queue.bull.getActiveCount()) === 0, { what: 'none of them to run on' });
  });

  test('a revoke is not put off by a task that was taken, and given back for its next attempt, since it was looked at', async () => {
    const ran: number[] = [];
    const queue = open({ scan: task((film: number) => ran.push(film)) });
    const { id } = await queue.delay('scan', 1, { countdownMs: 1 });
    const locked = new Error(`Job ${id} could not be removed because it is locked by another worker`);
    const spy = vi.spyOn(Job.prototype, 'remove').mockRejectedValueOnce(locked);
    onTestFinished(() => spy.mockRestore());
    expect(await queue.revoke(id)).toBe(1);
    await work(queue);
    await (await queue.delay('scan', 2)).get(PATIENCE);
    expect(ran).toEqual([2]);
  });

  test('a revoke has met what a worker takes and ends as revoked before it can be removed', async () => {
    const ran: number[] = [];
    const queue = open({ scan: task((film: number) => ran.push(film)) });
    const { id } = await queue.delay('scan', 1);
    const spy = vi.spyOn(Job.prototype, 'remove').mockImplementationOnce(async () => {
      await work(queue);
      await until(async () => (await queue.bull.getJobState(id)) === 'failed', { what: 'its end' });
      throw new Error(`Job ${id} could not be removed because it is locked by another worker`);
    });
    onTestFinished(() => spy.mockRestore());
    expect(await queue.revoke(id)).toBe(1);
    expect(ran).toEqual([]);
  });

  test('what a worker takes while it is revoked is not done and forgotten', async () => {
    const ran: number[] = [];
    const queue = open({ scan: task((film: number) => ran.push(film)) });
    const { id } = await queue.delay('scan', 1);
    const remove = Job.prototype.remove;
    const spy = vi.spyOn(Job.prototype, 'remove').mockImplementationOnce(async function (this: Job, how) {
      await work(queue);
      await until(async () => (await queue.bull.getJobCountByTypes('prioritized', 'active')) === 0, {
        what: 'its end',
      });
      return remove.call(this, how);
    });
    onTestFinished(() => spy.mockRestore());
    expect(await queue.revoke(id)).toBe(1);
    await work(queue);
    await (await queue.delay('scan', 2)).get(PATIENCE);
    expect(ran).toEqual([2]);
  });

  test('a revoke has not met what is done, nor what is gone since it was looked at', async () => {
    const queue = open({ double, broken });
    const worker = await work(queue);
    const [done, failed] = [await queue.delay('double', 21), await queue.delay('broken', null)];
    await done.get(PATIENCE);
    await expect(failed.get(PATIENCE)).rejects.toThrow(TaskFailedError);
    expect(await Promise.all([queue.revoke(done.id), queue.revoke(failed.id)])).toEqual([0, 0]);
    expect(await done.get(PATIENCE)).toBe(42);
    await worker.close();
    const { id } = await queue.delay('double', 1);
    const getState = Job.prototype.getState;
    const spy = vi.spyOn(Job.prototype, 'getState').mockImplementationOnce(async function (this: Job) {
      const state = await getState.call(this);
      await queue.bull.remove(id);
      return state;
    });
    onTestFinished(() => spy.mockRestore());
    expect(await queue.revoke(id)).toBe(0);
  });

  test('a revoke of which a step fails takes it again, and says so where it never succeeds', async () => {
    const queue = open({ double, list });
    const fails = new Error('the line is busy');
    const [promote, publish, remove] = [
      vi.spyOn(Job.prototype, 'promote').mockRejectedValueOnce(fails),
      vi.spyOn(QueueEventsProducer.prototype, 'publishEvent').mockRejectedValueOnce(fails),
      vi.spyOn(Job.prototype, 'remove').mockRejectedValue(fails),
    ];
    onTestFinished(() => void vi.restoreAllMocks());
    const waiting = await queue.delay('double', 1);
    await expect(queue.revoke(waiting.id)).rejects.toThrow(fails);
    remove.mockRestore();
    expect(await queue.revoke(waiting.id)).toBe(1);
    await queue.chord([queue.s('double', 1, { countdownMs: HOUR })], 'list');
    const [part] = await queue.bull.getDelayed();
    // The message to the workers comes first.
    expect(await queue.revoke(part?.id ?? '')).toBe(1);
    expect([publish, promote].map(({ mock }) => mock.calls.length)).toEqual([3, 2]);
    expect(await part?.getState()).toBe('prioritized');
  });

  test('a revoke leaves the events that a monitor has not read yet', async () => {
    const runs: unknown[] = [];
    const queue = open({ scan: endless(runs), double });
    await work(queue);
    await queue.group(Array.from({ length: 650 }, (_, n) => queue.s('double', n, { countdownMs: HOUR })));
    const { id } = await queue.delay('scan', null);
    await until(() => runs.length > 0, { what: 'the task to run' });
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    const events = () => client.xlen(queue.bull.keys['events'] ?? '');
    const before = await events();
    expect(await queue.revoke(id)).toBe(1);
    expect(await events()).toBeGreaterThan(before);
  });

  test('a revoked chord takes with it what it waits for', async () => {
    const runs: unknown[] = [];
    const queue = open({ scan: endless(runs), double, list });
    await work(queue);
    const later = Array.from({ length: 40 }, (_, n) => queue.s('double', n, { countdownMs: HOUR }));
    const ticket = await queue.chord([queue.s('scan', null), ...later], 'list');
    await until(() => runs.length > 0, { what: 'the first of them to run' });
    expect(await queue.revoke(ticket.id)).toBe(42);
    await until(async () => (await queue.bull.getJobCountByTypes('active', 'delayed', 'waiting-children')) === 0, {
      what: 'nothing to be left of it',
    });
  });

  test('a revoked chord goes, though the result of a part is kept no more', async () => {
    const options = { connection: { url }, prefix, name: fresh(), keepResults: { count: 0 } };
    const queue = new TaskQueue({ double, list }, options);
    onTestFinished(() => queue.close());
    await work(queue);
    const header = [queue.s('double', 1), queue.s('double', 2, { countdownMs: HOUR })];
    const { id } = await queue.chord(header, 'list');
    await until(async () => (await queue.bull.getJobCountByTypes('prioritized', 'active')) === 0, {
      what: 'the first to be done',
    });
    expect(await queue.revoke(id)).toBe(2);
    expect(await queue.bull.getJobCountByTypes('delayed', 'waiting-children')).toBe(0);
  });

  test('a revoked chain goes with all its links, however many they are', async () => {
    const queue = open({ double, text });
    const first = queue.s('double', 1, { countdownMs: HOUR });
    // biome-ignore format: one line a dozen
    const ticket = await queue.chain(
      first, 'double', 'double', 'double', 'double', 'double', 'double', 'double', 'double', 'double', 'double', 'double',
      'double', 'double', 'double', 'double', 'double', 'double', 'double', 'double', 'double', 'double', 'double', 'text',
    );
    expect(await queue.revoke(ticket.id)).toBe(24);
    expect(await queue.bull.getJobCountByTypes('delayed', 'waiting-children')).toBe(0);
  });

  // ── many workers, many instances ──────────────────────────────────────────────────────────────────────────────────

  test('a process may have as many workers as it likes', async () => {
    const warnings: string[] = [];
    const warn = ({ message }: Error) => void warnings.push(message);
    process.on('warning', warn);
    onTestFinished(() => void process.off('warning', warn));
    const queue = open({ double });
    const workers = await Promise.all(Array.from({ length: 12 }, () => work(queue)));
    await turn();
    expect(warnings).toEqual([]);
    await Promise.all(workers.map((worker) => worker.close()));
  });

  test('a worker that closes finishes what it runs, and takes nothing more', async () => {
    const { promise: enough, resolve } = gate();
    const begun: number[] = [];
    const queue = open({
      print: task(async (n: number) => {
        begun.push(n);
        await enough;
        return n;
      }),
    });
    const worker = await queue.worker({ onError: () => {} });
    const sent = [await queue.delay('print', 1), await queue.delay('print', 2)] as const;
    await until(() => begun.length === 1, { what: 'the first to begin' });
    let closed = false;
    const closing = worker.close().then(() => {
      closed = true;
    });
    await settle(queue);
    expect(closed, 'closed, while a task runs').toBe(false);
    resolve();
    await closing;
    expect(await Promise.all(sent.map((ticket) => ticket.state()))).toEqual(['completed', 'prioritized']);
    expect(begun).toEqual([1]);
  });

  test('a queue closes its workers first: what they run may still send, and then nobody may', async () => {
    const { promise: enough, resolve } = gate();
    const [name, begun]: [string, number[]] = [fresh(), []];
    let send = async (): Promise<unknown> => undefined;
    const print = task(async (n: number) => {
      begun.push(n);
      await enough;
      await send();
    });
    const tasks = { double, list, print };
    const [queue, office] = [open(tasks, name), open(tasks, name)];
    send = () => queue.chord([queue.s('double', 21)], 'list', { id: 'album' });
    await Promise.all([work(queue), work(queue)]);
    await (await queue.chord([queue.s('double', 1)], 'list')).get(PATIENCE);
    await queue.group([queue.s('print', 1), queue.s('print', 2), queue.s('print', 3)]);
    await until(() => begun.length === 2, { what: 'two to begin' });
    let closed = 0;
    const closing = [queue.close(), queue.close()].map((one) => one.then(() => void closed++));
    await settle(office);
    expect(closed, 'closed, while tasks run').toBe(0);
    resolve();
    await Promise.all(closing);
    expect(begun.length).toBe(2);
    expect(await office.result('album').state()).toBe('waiting-children');
    const calls = [
      send,
      () => queue.delay('double', 1),
      () => queue.group([queue.s('double', 1)]),
      () => queue.beat('daily', { everyMs: 60 }, 'double', 1),
      () => queue.endBeat('daily'),
      () => queue.revoke('album'),
      () => queue.result('album').get(PATIENCE),
      () => queue.worker(),
    ];
    for (const call of calls) await expect(call(), String(call)).rejects.toThrow(QueueClosedError);
    const unused = open(tasks, name);
    await unused.close();
    await expect(unused.result('album').get(PATIENCE), 'a connection is opened').rejects.toThrow(QueueClosedError);
  });

  test('a queue that is closed has no connection left', async () => {
    const [clients, connect] = [new Set<Redis>(), Redis.prototype.connect];
    const spy = vi.spyOn(Redis.prototype, 'connect').mockImplementation(function (this: Redis, ...done) {
      clients.add(this);
      return connect.apply(this, done);
    });
    onTestFinished(() => spy.mockRestore());
    const queue = open({ double, list });
    await work(queue);
    await (await queue.chord([queue.s('double', 1)], 'list')).get(PATIENCE);
    await queue.close();
    expect(new Set([...clients].map(({ status }) => status))).toEqual(new Set(['end']));
  });

  test('what was being sent when its queue was closed is sent, and whoever waits for a result is told', async () => {
    const name = fresh();
    const office = open({ double, list }, name);
    const calls: ((queue: typeof office) => Promise<unknown>)[] = [
      (queue) => queue.delay('double', 1),
      (queue) => queue.group([queue.s('double', 1)]),
      (queue) => queue.chord([queue.s('double', 1)], 'list', { id: 'album' }),
      (queue) => queue.chain(queue.s('double', 1, { id: 'roll' }), 'double'),
      (queue) => queue.beat('daily', { everyMs: HOUR }, 'double', 1),
      (queue) => queue.revoke('album'),
    ];
    for (const call of calls) {
      const queue = open({ double, list }, name);
      const made = call(queue);
      const [outcome] = await Promise.allSettled([made, queue.close()]);
      expect(outcome, String(call)).toMatchObject({ status: 'fulfilled' });
    }
    const queue = open({ double, list }, name);
    const { id } = await queue.delay('double', 1, { countdownMs: HOUR });
    holdTimers();
    const told = Promise.all(
      [queue.result(id).get(HOUR), queue.worker()].map((late) => expect(late).rejects.toThrow(QueueClosedError)),
    );
    await queue.close();
    // He may have looked for the last time before, or while it closed.
    await settle(office);
    await vi.advanceTimersByTimeAsync(1_000);
    await told;
  });

  test('what is being sent to a Redis that is away holds up no close for long', async () => {
    holdTimers();
    const queue = new TaskQueue({ double }, { connection: { url: 'redis://127.0.0.1:1' } });
    queue.bull.on('error', () => {});
    let closed = false;
    queue.delay('double', 1).catch(() => {});
    void queue.close().then(() => {
      closed = true;
    });
    for (let second = 0; second < 60 && !closed; second++) {
      await vi.advanceTimersByTimeAsync(1_000);
      await turn();
    }
    expect(closed, 'after a minute').toBe(true);
  });

  test('a queue whose connections have just broken closes when they are back', async () => {
    const { near, lines } = await relayed();
    const office = open({ double });
    await settle(office);
    const options = { connection: { url: near }, prefix, name: fresh() };
    const [desk, queue] = [new TaskQueue({ double }, options), new TaskQueue({ double }, options)];
    const { bull } = await work(queue);
    const monitor = await new Monitor(queue.bull).ready();
    await (await desk.delay('double', 1)).get(PATIENCE);
    const clients = [await bull.backend.client, await bull.backend.blockingClient];
    holdTimers();
    for (const [end] of lines) end.end();
    while (clients.some((client) => client?.status === 'ready')) await turn();
    expect(await inAMinute(Promise.all([desk, queue, monitor].map((one) => one.close())), office)).toBe('ended');
  });

  test('a queue of which one connection breaks after the other while it closes has closed when they are back', async () => {
    const { near, lines } = await relayed();
    const office = open({ double });
    await settle(office);
    const options = { connection: { url: near }, prefix, name: fresh() };
    const [queue, desk] = [new TaskQueue({ double }, options), new TaskQueue({ double }, options)];
    const { bull } = await work(queue);
    const [main, blocking] = [await bull.backend.client, await bull.backend.blockingClient];
    const ofWorker = lines.slice(-2);
    holdTimers();
    ofWorker[0]?.[0].end();
    while (main.status === 'ready') await turn();
    const closing = queue.close();
    await vi.advanceTimersByTimeAsync(500);
    ofWorker[1]?.[0].end();
    while (blocking?.status === 'ready') await turn();
    await vi.advanceTimersByTimeAsync(500);
    await settle(office);
    expect(await inAMinute(closing, office), 'a worker').toBe('ended');

    await expect(desk.result('nobody').get(0)).rejects.toThrow(UnknownTaskError);
    const [ofEvents] = lines.at(-1) ?? [];
    await desk.revoke('nobody');
    const [ofFlows, far] = lines.at(-1) ?? [];
    // What its flow producer says last is on its way until the line of its events has broken.
    if (far) ofFlows?.unpipe(far);
    const closingDesk = desk.close();
    await settle(office);
    ofEvents?.end();
    await settle(office);
    if (far) ofFlows?.pipe(far);
    await settle(office);
    expect(await inAMinute(closingDesk, office), 'events').toBe('ended');
  });

  test('the rate limit holds over all workers together', async () => {
    let runs = 0;
    const name = fresh();
    const tasks = { mail: task((_: number) => void runs++) };
    const limit = { concurrency: 5, rateLimit: { max: 3, perMs: HOUR } };
    const [one, two] = [open(tasks, name), open(tasks, name)];
    await one.group(Array.from({ length: 10 }, (_, n) => one.s('mail', n)));
    await Promise.all([work(one, limit), work(two, limit)]);
    await until(() => runs >= 3, { what: 'three tasks to run' });
    await until(async () => (await one.bull.getJobCountByTypes('active')) === 0);
    await settle(one);
    expect(runs).toBe(3);
  });

  test('three instances that beat make one schedule, also after a restart', async () => {
    const ran: string[] = [];
    const name = fresh();
    const tasks = { report: task((_: null, { id }) => void ran.push(id)) };
    for (const _deployment of ['Monday', 'Tuesday']) {
      const instances = [open(tasks, name), open(tasks, name), open(tasks, name)];
      for (const instance of instances) await instance.beat('daily', { everyMs: 60 }, 'report', null);
      await Promise.all(instances.map((instance) => work(instance)));
      const before = ran.length;
      await until(() => ran.length >= before + 3, { what: 'three ticks' });
      await Promise.all(instances.map((instance) => instance.close()));
    }
    const office = open(tasks, name);
    expect(await office.bull.getJobSchedulersCount(), `runs: ${ran}`).toBe(1);
    expect(new Set(ran).size).toBe(ran.length);
    expect(await office.endBeat('daily')).toBe(true);
    expect(await office.endBeat('daily')).toBe(false);
  });

  test('a strike that is due, and still waits for a worker, is lost by no instance that starts', async () => {
    // To the millisecond at the hour.
    vi.useFakeTimers({ toFake: ['Date'], now: Math.ceil(Date.now() / HOUR) * HOUR });
    onTestFinished(() => void vi.useRealTimers());
    const ran: string[] = [];
    const name = fresh();
    const tasks = { report: task((kind: string) => void ran.push(kind)) };
    const start = async (kind: string) => {
      const instance = open(tasks, name);
      await instance.beat('hourly', { cron: '0 * * * *', tz: 'UTC' }, 'report', kind);
      return instance;
    };
    await start('first');
    for (const [hours, kind] of ['first', 'second'].entries()) {
      vi.setSystemTime(Date.now() + HOUR);
      const [instance] = await Promise.all([start(kind), start(kind)]);
      const worker = await work(instance);
      await until(() => ran.length > hours, { what: 'a strike' });
      await worker.close();
    }
    expect(await (await start('second')).bull.getJobCountByTypes('prioritized', 'wait')).toBe(0);
    expect(ran).toEqual(['first', 'second']);
  });

  test('a schedule that Redis refuses is an error', async () => {
    const queue = open({ double });
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    await client.set(`${prefix}:${queue.bull.name}:events`, 'no stream');
    await expect(queue.beat('daily', { everyMs: HOUR }, 'double', 1)).rejects.toThrow('WRONGTYPE');
  });

  test('a schedule by calendar strikes in its time zone', async () => {
    const queue = open({ report: task(() => null) });
    await queue.beat('morning', { cron: '0 9 * * *', tz: 'Asia/Shanghai' }, 'report', null);
    const [job] = await queue.bull.getDelayed();
    const due = new Date((job?.timestamp ?? 0) + (job?.delay ?? 0));
    expect(due.toISOString()).toMatch(/T01:00:00\.000Z$/);
    const refused = (cron: string, tz = 'UTC') => expect(queue.beat('morning', { cron, tz }, 'report', null)).rejects;
    await refused('daily').toThrow(/^"daily" is no cron pattern/);
    await refused('0 9 * * *', 'Asia/Peking').toThrow(/"Asia\/Peking" no time zone/);
    await refused('0 9 31 4,6 *').toThrow(/^"0 9 31 4,6 \*" is the pattern of no day/);
  });

  test('a monitor tells what ran, what failed and for how long, from events alone', async () => {
    const queue = open({ double, broken });
    await using monitor = await new Monitor(queue.bull).ready();
    await work(queue);
    await (await queue.delay('double', 1)).get(PATIENCE);
    await (await queue.delay('broken', null))
      .get(PATIENCE)
      .catch((error) => expect(error).toBeInstanceOf(TaskFailedError));
    const seen = await until(async () => {
      const snapshot = await monitor.snapshot();
      return snapshot.completed + snapshot.failed === 2 ? snapshot : undefined;
    });
    expect(seen).toMatchObject({ completed: 1, failed: 1, stalled: 0, counts: { completed: 1, failed: 1 } });
    expect(seen.waitMs.p50).toBeGreaterThanOrEqual(0);
    expect(seen.runMs.p50).toBeGreaterThanOrEqual(0);
    expect(await monitor.prometheus()).toContain(`bullmq_job_count{queue="${queue.name}", state="failed"} 1`);
  });

  test('a monitor tells how long the latest thousand have waited and run, to the millisecond', async () => {
    const queue = open({ double });
    await using monitor = await new Monitor(queue.bull).ready();
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    const events = client.pipeline();
    let now = 0;
    const later = (ms: number, event: string, jobId: string, ...more: string[]) => {
      now += ms;
      events.xadd(queue.bull.keys['events'] ?? '', `${now}-0`, 'event', event, 'jobId', jobId, ...more);
    };
    // The first is forgotten by the end; the others have waited from 1 ms to 1,000 ms, in no order, and run twice as long.
    for (let n = 0; n <= 1_000; n++) {
      const ms = n === 0 ? 5_000 : (n * 3) % 1_001;
      later(1, 'waiting', `film ${n}`);
      later(ms, 'active', `film ${n}`);
      later(2 * ms, 'completed', `film ${n}`, 'returnvalue', 'null');
    }
    await events.exec();
    const seen = await until(async () => {
      const snapshot = await monitor.snapshot();
      return snapshot.completed === 1_001 ? snapshot : undefined;
    });
    expect(seen).toMatchObject({
      failed: 0,
      stalled: 0,
      waitMs: { p50: 500, p99: 990 },
      runMs: { p50: 1_000, p99: 1_980 },
    });
  });

  test('a monitor is not ready before it has its place, though Redis is slow to give it one', async () => {
    const queue = open({ double });
    await work(queue);
    const { promise: enough, resolve: give } = gate();
    const { promise: asked, resolve: ask } = gate();
    const send = Redis.prototype.sendCommand;
    const spy = vi.spyOn(Redis.prototype, 'sendCommand').mockImplementation(function (this: Redis, command, stream) {
      if (!command.name.startsWith('eval') || !command.args.includes(queue.bull.keys['events'] ?? ''))
        return send.call(this, command, stream);
      ask();
      void enough.then(() => send.call(this, command, stream));
      return command.promise;
    });
    onTestFinished(() => spy.mockRestore());
    await using monitor = new Monitor(queue.bull);
    let isReady = false;
    const ready = monitor.ready().then(() => {
      isReady = true;
    });
    await asked;
    await settle(queue);
    expect(isReady).toBe(false);
    give();
    await ready;
    await queue.delay('double', 1);
    await until(async () => (await monitor.snapshot()).completed === 1, { what: 'the monitor to hear of the end' });
  });

  test('what is due waits from then on, for a monitor too, while all workers are busy', async () => {
    const { promise, resolve } = gate();
    const queue = open({ hold: task(() => promise), double });
    await using monitor = await new Monitor(queue.bull).ready();
    await work(queue);
    const first = await queue.delay('hold', null);
    await until(async () => (await first.state()) === 'active', { what: 'a busy worker' });
    const second = await queue.delay('double', 1, { countdownMs: 100 });
    const due = Date.now() + 100;
    await until(() => Date.now() > due + 300, { what: 'the countdown to be over' });
    resolve();
    await second.get(PATIENCE);
    await until(async () => (await monitor.snapshot()).completed === 2, { what: 'the monitor to hear of the end' });
    const { waitMs } = await monitor.snapshot();
    expect(waitMs.p99).toBeGreaterThanOrEqual(250);
    // One that is let through before it is due has waited no less than nothing.
    await using other = await new Monitor(queue.bull).ready();
    await queue.delay('double', 1, { countdownMs: 2_000 });
    await (await queue.bull.getDelayed())[0]?.promote();
    await until(async () => (await other.snapshot()).completed === 1, { what: 'the one that need not wait' });
    expect((await other.snapshot()).waitMs.p50).toBeGreaterThanOrEqual(0);
  });

  test('who is ready to hear of a queue misses nothing from then on', async () => {
    const queue = open({ double });
    await work(queue);
    await (await queue.delay('double', 1)).get(PATIENCE);
    for (let n = 0; n < 5; n++) {
      await using monitor = await new Monitor(queue.bull).ready();
      await queue.delay('double', n);
      await until(async () => (await monitor.snapshot()).completed === 1, { what: 'the monitor to hear of the end' });
      const { waitMs } = await monitor.snapshot();
      expect(waitMs.p50).toBeGreaterThanOrEqual(0);
    }
  });

  test('a monitor that is closed at once complains of nothing', async () => {
    const queue = open({ double });
    const complain = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => complain.mockRestore());
    for (let n = 0; n < 5; n++) await new Monitor(queue.bull).close();
    await settle(queue);
    expect(complain).not.toHaveBeenCalled();
  });

  test('the first who waits for a result in a process need not look for it again', async () => {
    let seen = gate();
    const film = task(async (n: number) => {
      await seen.promise;
      return n;
    });
    const shop = open({ film });
    await work(shop);
    holdTimers();
    for (let n = 0; n < 20; n++) {
      const desk = open({ film }, shop.name);
      seen = gate();
      const { id } = await shop.delay('film', n);
      const look = desk.bull.backend.isFinished.bind(desk.bull.backend);
      desk.bull.backend.isFinished = async (...args) => {
        const state = await look(...args);
        seen.resolve();
        return state;
      };
      const end = desk.result(id).get(PATIENCE);
      await seen.promise;
      expect(await Promise.race([end, settle(shop).then(() => settle(desk))])).toBe(n);
    }
  });

  test('a connection that leads to a replica since a failover is made anew', async ({ skip }) => {
    skip(!redis.faults, 'it makes the server a replica, and this one is not ours');
    // A Redis before 7 puts what a script has met into the words of an error of its own.
    const before7 = '-ERR Error running script (call to f_1): @user_script:1: @user_script: 1: $&';
    const tasks = { double, count: task((all: number[]) => all.length) };
    const admin = new Redis(url);
    onTestFinished(() => admin.disconnect());
    for (const refusal of ['$&', before7]) {
      const { near, lines } = await relayed({ answered: (bytes) => bytes.replaceAll('-READONLY', refusal) });
      const queue = new TaskQueue(tasks, { connection: { url: near }, prefix, name: fresh() });
      onTestFinished(() => queue.close());
      const album = () => queue.chord([queue.s('double', 1)], 'count');
      await queue.delay('double', 1);
      await album();
      const old = lines.map(([end]) => end);
      await admin.replicaof('127.0.0.1', 1);
      try {
        await expect(queue.delay('double', 1)).rejects.toThrow('READONLY');
        await expect(album()).rejects.toThrow('READONLY');
        await until(() => old.every((end) => end.destroyed), { what: 'all connections to be made anew' });
      } finally {
        await admin.replicaof('NO', 'ONE');
      }
      await queue.delay('double', 1);
      await album();
    }
  });

  test('a Redis that may throw keys away is refused', async ({ skip }) => {
    skip(!redis.faults, 'it changes a setting of the server, and this one is not ours');
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    onTestFinished(() => void vi.restoreAllMocks());
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    try {
      await expect(open({ double }).worker()).rejects.toThrow(EvictionPolicyError);
    } finally {
      await client.config('SET', 'maxmemory-policy', 'noeviction');
    }
    await open({ double }).ready();
  });
});
