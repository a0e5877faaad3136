import { getEventListeners } from 'node:events';
import { setTimeout as nodeSleep } from 'node:timers/promises';
import { History, ManualClock, outcome } from '@shared/testkit';
import { describe, expect, expectTypeOf, test, vi } from 'vitest';
import {
  Barrier,
  CancelledError,
  Channel,
  Condition,
  Event,
  GroupClosedError,
  InvalidArgumentError,
  Lock,
  mapBounded,
  Semaphore,
  shield,
  sleep,
  type TaskGroup,
  TaskGroupError,
  TimeoutError,
  taskGroup,
  timeout,
  UnresponsiveError,
} from '#lab';
import { begun, dish, turn, untilAborted, watch } from './kitchen.ts';

const SOLD_OUT = new Error('sold out');
const NOT_HUNGRY = new Error('the guest has left');
const unreadable = () => {
  throw new Error('not to be read');
};
const UNREADABLE = Object.defineProperties(new Error(), { name: { get: unreadable }, message: { get: unreadable } });
/** What a group's error lists, or the error itself where it lists nothing. */
const failures = (error: unknown) => (error instanceof AggregateError ? error.errors : error);

describe('task group', () => {
  test('a group waits for its tasks, and for the tasks of its tasks', async () => {
    const [soup, spoon] = [dish(), dish()];
    const served: string[] = [];
    const order = begun(
      taskGroup(async (group) => {
        group.spawn(async () => {
          served.push(await soup.promise);
          group.spawn(async () => served.push(await spoon.promise));
        });
        return 'the bill';
      }),
    );
    expectTypeOf(order).toEqualTypeOf<Promise<string>>();
    const watched = watch(order);
    await turn();
    expect(watched.state, 'the soup is on the stove').toBe('pending');
    soup.resolve('soup');
    await turn();
    expect(watched.state, 'the task of the task has no spoon yet').toBe('pending');
    spoon.resolve('spoon');
    expect((await outcome(order)).value).toBe('the bill');
    expect(served).toEqual(['soup', 'spoon']);
  });

  test('the first failure aborts the siblings, and the group waits until they have cleaned up', async () => {
    const [stock, paused, cleaned] = [dish(), dish(), dish()];
    const history = new History();
    const order = begun(
      taskGroup(async (group) => {
        group.spawn(async () => {
          await stock.promise;
        });
        group.spawn(async (signal) => {
          try {
            await Promise.race([paused.promise, untilAborted(signal)]);
            history.record('card charged');
          } finally {
            history.record('payment form closing');
            await cleaned.promise;
            history.record('payment form closed');
          }
        });
      }),
    );
    const watched = watch(order);
    stock.reject(SOLD_OUT);
    await turn();
    expect(history.ops, 'the sibling hears of the failure').toEqual(['payment form closing']);
    expect(watched.state, 'the sibling is still cleaning up').toBe('pending');
    paused.resolve('too late');
    cleaned.resolve('done');
    const { error } = await outcome(order);
    expect(history.ops).toEqual(['payment form closing', 'payment form closed']);
    expect(failures(error)).toEqual([SOLD_OUT]);
  });

  test('the error of a group lists every failure, in order, and no cancellation', async () => {
    const broken = new Error('the mixer is broken');
    const cleanUp = new Error('the pan burnt while it was put away');
    const reasons: unknown[] = [];
    const order = taskGroup(async (group) => {
      group.spawn(async (signal) => {
        await untilAborted(signal).catch((reason: unknown) => reasons.push(reason));
        throw cleanUp;
      });
      group.spawn((signal) => untilAborted(signal));
      group.spawn((signal) => nodeSleep(60_000, undefined, { signal }));
      group.spawn(() => Promise.reject(SOLD_OUT));
      group.signal.throwIfAborted();
      await turn();
      throw broken;
    });
    const { error } = await outcome(order);
    expect(failures(error)).toEqual([SOLD_OUT, cleanUp, broken]);
    expect(error).toBeInstanceOf(TaskGroupError);
    expect(String(error)).toContain('3 tasks failed');
    expect(reasons, 'a sibling can tell its cancellation from a failure of its own').toEqual([
      expect.objectContaining({ name: 'CancelledError', cause: SOLD_OUT }),
    ]);
    expect(reasons[0]).toBeInstanceOf(CancelledError);
  });

  test('a failure is listed once, and as a list, also when the body has met it', async () => {
    const awaited = taskGroup(async (group) => {
      await group.spawn(() => Promise.reject(SOLD_OUT));
    });
    const { error } = await outcome(awaited);
    expect(failures(error)).toEqual([SOLD_OUT]);
    expect(String(error)).toBe('TaskGroupError: A task failed. Error: sold out');
    const thrown = taskGroup(() => {
      throw SOLD_OUT;
    });
    expect(failures((await outcome(thrown)).error)).toEqual([SOLD_OUT]);
    const handled = taskGroup(async (group) => {
      await group.spawn(() => Promise.reject(SOLD_OUT)).catch(() => {});
      return 'something else';
    });
    expect(failures((await outcome(handled)).error), 'a task that fails has failed').toEqual([SOLD_OUT]);
    for (const strange of [Object.create(null), UNREADABLE]) {
      const order = taskGroup((group) => {
        group.spawn(() => Promise.reject(strange));
        group.spawn((signal) => untilAborted(signal).catch(() => Promise.reject(UNREADABLE)));
      });
      const listed = [failures((await outcome(order)).error)].flat();
      expect(listed.map((each) => each === strange || each === UNREADABLE)).toEqual(
        strange === UNREADABLE ? [true] : [true, true],
      );
    }
  });

  test('an abort that is not the own one is a failure', async () => {
    const other = AbortSignal.abort();
    const foreign = taskGroup((group) => {
      group.spawn(() => other.throwIfAborted());
    });
    expect(failures((await outcome(foreign)).error)).toEqual([other.reason]);
    const both = taskGroup((group) => {
      group.spawn((signal) => untilAborted(signal).catch(() => other.throwIfAborted()));
      group.spawn(() => Promise.reject(SOLD_OUT));
    });
    expect(failures((await outcome(both)).error)).toEqual([SOLD_OUT, other.reason]);
  });

  test('who aborts a group gets his own reason, when all of it has ended', async () => {
    const door = new AbortController();
    const cleaned = dish();
    const order = begun(
      taskGroup(
        async (group) => {
          group.spawn(async (signal) => {
            await untilAborted(signal).catch(() => cleaned.promise);
            throw new Error('while cleaning up');
          });
          await untilAborted(group.signal).catch((reason: unknown) => expect(reason).toBe(NOT_HUNGRY));
          return 'eaten';
        },
        { signal: door.signal },
      ),
    );
    const watched = watch(order);
    await turn();
    door.abort(NOT_HUNGRY);
    await turn();
    expect(watched.state, 'a task is still cleaning up').toBe('pending');
    cleaned.resolve('');
    expect((await outcome(order)).error).toBe(NOT_HUNGRY);
  });

  test('a group that has ended or aborted takes no more tasks', async () => {
    const task = vi.fn();
    let kept: TaskGroup | undefined;
    await taskGroup((group) => {
      kept = group;
    });
    expect(() => kept?.spawn(task)).toThrow(GroupClosedError);
    const order = taskGroup(async (group) => {
      group.spawn(() => Promise.reject(SOLD_OUT));
      await turn();
      group.spawn(task);
    });
    expect(failures((await outcome(order)).error)).toEqual([SOLD_OUT]);
    expect(task).not.toHaveBeenCalled();
  });

  test('an inner group fails as one task of the outer one, and is aborted with it', async () => {
    const inner: unknown[] = [];
    const order = taskGroup(async (kitchen) => {
      kitchen.spawn(async (signal) => {
        const bar = taskGroup(
          (group) => {
            group.spawn(untilAborted);
          },
          { signal },
        );
        await bar.catch((reason: unknown) => inner.push(reason === signal.reason));
        await bar;
      });
      kitchen.spawn((signal) => taskGroup(() => Promise.reject(SOLD_OUT), { signal }));
    });
    const [error, ...more] = [failures((await outcome(order)).error)].flat();
    expect(error).toBeInstanceOf(TaskGroupError);
    expect(failures(error)).toEqual([SOLD_OUT]);
    expect(more).toEqual([]);
    expect(inner, 'the reason has passed through the inner group').toEqual([true]);
  });
});

describe('timeout', () => {
  /** A limit whose clock stands still until the law moves it. */
  const kitchen = () => {
    const clock = new ManualClock();
    return { clock, pass: (ms: number) => clock.advance(ms) };
  };

  test('a timeout ends when its work has unwound', async () => {
    const { clock, pass } = kitchen();
    const [cleaned, history] = [dish(), new History()];
    const work = async (signal: AbortSignal) => {
      try {
        await untilAborted(signal);
      } finally {
        history.record('putting the pan away');
        await cleaned.promise;
        history.record('put away');
      }
    };
    const limited = begun(timeout(100, work, { clock }));
    const watched = watch(limited);
    await pass(99);
    expect(history.ops, 'it has 100 ms').toEqual([]);
    await pass(1);
    expect(history.ops, 'the work is told to stop').toEqual(['putting the pan away']);
    expect(watched.state, 'and the pan is still hot').toBe('pending');
    cleaned.resolve('');
    const { error } = await outcome(limited);
    expect(history.ops).toEqual(['putting the pan away', 'put away']);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toHaveProperty('ms', 100);
  });

  test('work that ignores its signal is reported when its grace is over', async () => {
    const { clock, pass } = kitchen();
    const roast = dish();
    const limited = begun(timeout(100, () => roast.promise, { clock, graceMs: 50 }));
    const patient = watch(begun(timeout(100, () => roast.promise, { clock })));
    const watched = watch(limited);
    await pass(149);
    expect(watched.state, 'it may still unwind').toBe('pending');
    await pass(1);
    expect(watched.state, 'it had its grace').toBe('failed');
    const { error } = await outcome(limited);
    expect(error).toBeInstanceOf(UnresponsiveError);
    expect(error).toMatchObject({ graceMs: 50, cause: { name: 'TimeoutError', ms: 100 } });
    await pass(949);
    expect(patient.state, 'a grace of 1,000 ms when nothing is said').toBe('pending');
    await pass(1);
    expect(patient.state).toBe('failed');
    roast.reject(SOLD_OUT);
    await turn();
  });

  test('a limit claims its own deadline alone', async () => {
    const { clock, pass } = kitchen();
    const nested = (outer: number, inner: number) =>
      begun(
        timeout(outer, (signal) => timeout(inner, untilAborted, { signal, clock }), { clock }).catch(
          (error: unknown) => error,
        ),
      );
    const [outerFirst, innerFirst] = [nested(100, 200), nested(200, 100)];
    await pass(200);
    expect(await outerFirst).toHaveProperty('ms', 100);
    expect(await innerFirst).toHaveProperty('ms', 100);
    const caught = timeout(
      200,
      async (signal) => {
        const { error } = await outcome(begun(timeout(100, untilAborted, { signal, clock })));
        expect(error, 'the inner limit has passed, the outer one has not').toBeInstanceOf(TimeoutError);
        return 'cold soup';
      },
      { clock },
    );
    begun(caught);
    await pass(100);
    expect((await outcome(caught)).value).toBe('cold soup');
  });

  test('a foreign error and a foreign abort pass', async () => {
    const { clock, pass } = kitchen();
    expect((await outcome(timeout(100, () => Promise.reject(SOLD_OUT), { clock }))).error).toBe(SOLD_OUT);
    const other = AbortSignal.abort();
    expect((await outcome(timeout(100, () => untilAborted(other), { clock }))).error).toBe(other.reason);
    const late = begun(timeout(100, (signal) => untilAborted(signal).catch(() => untilAborted(other)), { clock }));
    const byNode = begun(timeout(100, (signal) => nodeSleep(60_000, '', { signal }), { clock }));
    await pass(100);
    expect((await outcome(late)).error, 'an error of the clean-up is news').toBe(other.reason);
    expect((await outcome(byNode)).error, "Node's AbortError only repeats the limit").toBeInstanceOf(TimeoutError);
    expect(clock.pending).toBe(0);
  });

  test('with no time left the work is not begun', async () => {
    const work = vi.fn();
    for (const ms of [0, -1, Number.NEGATIVE_INFINITY]) {
      expect((await outcome(timeout(ms, work))).error, `${ms} ms`).toBeInstanceOf(TimeoutError);
    }
    expect(work).not.toHaveBeenCalled();
    expect(await timeout(1, () => 'soup')).toBe('soup');
  });

  test('a result that comes while the work is stopped is a result', async () => {
    const { clock, pass } = kitchen();
    const card = dish();
    const charge = begun(timeout(100, () => card.promise, { clock }));
    await pass(200);
    card.resolve('charged');
    expect((await outcome(charge)).value).toBe('charged');
    expect(clock.pending, 'no timer is left').toBe(0);
  });

  test('who aborts a limited call gets his own reason', async () => {
    const { clock, pass } = kitchen();
    const ways: Record<string, (signal: AbortSignal, roast: Promise<string>) => Promise<unknown>> = {
      'stops at once': untilAborted,
      'gives a result': (_, roast) => roast,
      'fails while it is stopped': (_, roast) => roast.then(() => Promise.reject(SOLD_OUT)),
    };
    for (const [name, work] of Object.entries(ways)) {
      for (const at of [50, 150]) {
        if (at === 150 && name === 'stops at once') continue;
        const [door, roast] = [new AbortController(), dish()];
        const limited = begun(timeout(100, (signal) => work(signal, roast.promise), { signal: door.signal, clock }));
        await pass(at);
        door.abort(NOT_HUNGRY);
        roast.resolve('done');
        expect((await outcome(limited)).error, `${name}, ${at} ms`).toBe(NOT_HUNGRY);
      }
    }
    const door = new AbortController();
    const hung = begun(timeout(100, () => new Promise(() => {}), { signal: door.signal, clock, graceMs: 50 }));
    door.abort(NOT_HUNGRY);
    await pass(50);
    expect((await outcome(hung)).error, 'work that goes on is never passed over').toMatchObject({
      name: 'UnresponsiveError',
      cause: NOT_HUNGRY,
    });
  });

  test('a limit keeps the process alive, and leaves no timer behind', async () => {
    const alive = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const door = new AbortController();
    const before = alive();
    const limited = begun(timeout(60_000, untilAborted, { signal: door.signal }));
    const slept = begun(sleep(60_000, { signal: door.signal }));
    expect(alive() - before, 'timers that hold the process').toBe(2);
    door.abort(NOT_HUNGRY);
    // Only microtasks until the next count: no timer of anybody else's comes or goes.
    await Promise.allSettled([limited, slept]);
    expect(alive() - before).toBe(0);
  });
});

describe('sleep and shield', () => {
  test('a sleep ends in its time, or at once with the reason', async () => {
    const clock = new ManualClock();
    const door = new AbortController();
    const [short, long] = [sleep(100, { clock }), sleep(200, { clock, signal: door.signal })].map(begun);
    const watched = [short, long].map((each) => each && watch(each));
    await clock.advance(100);
    expect(watched.map((each) => each?.state)).toEqual(['done', 'pending']);
    door.abort(NOT_HUNGRY);
    await turn();
    expect(watched.map((each) => each?.state)).toEqual(['done', 'failed']);
    expect(clock.pending, 'no timer is left').toBe(0);
    expect(getEventListeners(door.signal, 'abort'), 'nor a listener').toEqual([]);
    await sleep(-1);
  });

  test('who leaves a shield gets his reason at once, and the outcome is told', async () => {
    for (const fail of [false, true]) {
      const door = new AbortController();
      const card = dish();
      const late = vi.fn();
      const charge = begun(shield(card.promise, { signal: door.signal, late }));
      door.abort(NOT_HUNGRY);
      expect((await outcome(charge)).error).toBe(NOT_HUNGRY);
      if (fail) card.reject(SOLD_OUT);
      else card.resolve('charged');
      await turn();
      const told = fail ? { status: 'rejected', reason: SOLD_OUT } : { status: 'fulfilled', value: 'charged' };
      expect(late.mock.calls).toEqual([[told]]);
    }
    const late = vi.fn();
    const stay = { signal: new AbortController().signal, late };
    expect(await shield(Promise.resolve('charged'), stay)).toBe('charged');
    expect((await outcome(shield(Promise.reject(SOLD_OUT), stay))).error).toBe(SOLD_OUT);
    expect(late).not.toHaveBeenCalled();
  });
});

describe('all of them', () => {
  test('an aborted signal begins nothing', async () => {
    const signal = AbortSignal.abort(NOT_HUNGRY);
    const work = vi.fn();
    const channel = new Channel<string>(1);
    const calls = {
      taskGroup: taskGroup(work, { signal }),
      timeout: timeout(100, work, { signal }),
      sleep: sleep(100, { signal }),
      acquire: new Semaphore(1).acquire({ signal }),
      lock: new Lock().acquire({ signal }),
      condition: new Condition().acquire({ signal }),
      waitFor: new Condition().acquire().then((held) => held.waitFor(() => true, { signal })),
      event: new Event().wait({ signal }),
      barrier: new Barrier(1).wait({ signal }),
      put: channel.put('soup', { signal }),
      get: channel.get({ signal }),
      map: mapBounded(['soup'], 1, work, { signal }).next(),
    };
    for (const [name, call] of Object.entries<Promise<unknown>>(calls)) {
      expect((await outcome(call)).error, name).toBe(NOT_HUNGRY);
    }
    expect(work).not.toHaveBeenCalled();
    expect(channel.size).toBe(0);
  });

  test('numbers that mean nothing are refused', async () => {
    for (const count of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const Kind of [Semaphore, Barrier, Channel]) expect(() => new Kind(count)).toThrow(InvalidArgumentError);
      const { error } = await outcome(mapBounded(['soup'], count, (it) => it).next());
      expect(error, `mapBounded with ${count}`).toBeInstanceOf(InvalidArgumentError);
    }
    expect(await timeout(2 ** 31 - 1, () => 1)).toBe(1);
    const untyped: { readonly [what: string]: never } = Object({
      text: '100',
      symbol: Symbol('1'),
      object: Object.create(null),
    });
    for (const ms of [Number.NaN, 2 ** 31, ...Object.values(untyped)]) {
      const graceMs = ms;
      for (const call of [timeout(ms, () => 1), timeout(1, () => 1, { graceMs }), sleep(ms)]) {
        expect((await outcome<unknown>(call)).error, typeof ms).toBeInstanceOf(InvalidArgumentError);
      }
    }
    for (const count of Object.values(untyped)) expect(() => new Semaphore(count)).toThrow(InvalidArgumentError);
  });

  test('a long-lived signal keeps no listener after ten thousand operations', async () => {
    const { signal } = new AbortController();
    const clock = new ManualClock();
    const [channel, event, barrier, condition] = [new Channel(1), new Event(), new Barrier(2), new Condition()];
    const lock = new Lock();
    const rounds: Record<string, () => Promise<unknown>> = {
      taskGroup: () => taskGroup((group) => void group.spawn(turnless), { signal }),
      timeout: () => timeout(100, turnless, { signal, clock }),
      shield: () => shield(turnless(), { signal, late: () => {} }),
      sleep: () => {
        const after = (_: number, callback: () => void) => {
          queueMicrotask(callback);
          return () => {};
        };
        return sleep(1, { signal, clock: { after } });
      },
      lock: async () => {
        const first = await lock.acquire({ signal });
        const second = lock.acquire({ signal });
        first[Symbol.dispose]();
        (await second)[Symbol.dispose]();
      },
      event: () => {
        event.clear();
        const waits = event.wait({ signal });
        event.set();
        return waits;
      },
      barrier: () => Promise.all([barrier.wait({ signal }), barrier.wait({ signal })]),
      condition: async () => {
        using waiter = await condition.acquire({ signal });
        const woken = waiter.wait({ signal });
        using caller = await condition.acquire({ signal });
        caller.notify();
        caller[Symbol.dispose]();
        await woken;
      },
      channel: async () => {
        await Promise.all([channel.get({ signal }), channel.put(1, { signal })]);
        const puts = [channel.put(2, { signal }), channel.put(3, { signal })];
        await Promise.all([channel.get(), channel.get(), ...puts]);
      },
      map: async () => {
        for await (const _ of mapBounded([1, 2], 2, turnless, { signal }));
      },
    };
    for (const [name, round] of Object.entries(rounds)) {
      for (let n = 0; n < 1_000; n++) await round();
      expect(getEventListeners(signal, 'abort').length, name).toBe(0);
    }
    expect(clock.pending).toBe(0);
  });

  test('a signal has one listener, however many wait for it', async () => {
    const door = new AbortController();
    const { signal } = door;
    const [lock, event] = [new Lock(), new Event()];
    await lock.acquire();
    const ways = [() => lock.acquire({ signal }), () => event.wait({ signal }), () => sleep(60_000, { signal })];
    const waiting = Array.from({ length: 30 }, (_, n) => begun<unknown>(ways[n % 3]?.() ?? turn()));
    expect(getEventListeners(signal, 'abort').length).toBe(1);
    event.set();
    expect((await outcome(Promise.all(waiting.filter((_, n) => n % 3 === 1)))).error).toBeUndefined();
    door.abort(NOT_HUNGRY);
    const ended = await Promise.allSettled(waiting);
    const left = ended.filter((each) => each.status === 'rejected' && each.reason === NOT_HUNGRY);
    expect(left.length, 'who was not served before').toBe(20);
    expect(getEventListeners(signal, 'abort').length).toBe(0);
  });

  test('no rejection goes unhandled, whoever has left', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const { clock, door } = { clock: new ManualClock(), door: new AbortController() };
    const { signal } = door;
    const fail = async () => {
      await turn();
      throw SOLD_OUT;
    };
    const left: Promise<unknown>[] = [
      taskGroup((group) => void [group.spawn(fail), group.spawn(fail)]),
      timeout(1, fail, { clock, graceMs: 1 }),
      timeout(1, fail, { clock, graceMs: 1, signal }),
      shield(fail(), { signal, late: () => {} }),
      mapBounded([1, 2, 3], 2, fail, { ordered: false }).next(),
      mapBounded([1, 2, 3], 2, fail, { signal }).next(),
    ];
    const ended = Promise.allSettled(left);
    await clock.advance(2);
    door.abort(NOT_HUNGRY);
    const outcomes = (await outcome(ended)).value;
    for (let turns = 0; turns < 5; turns++) await turn();
    process.off('unhandledRejection', unhandled);
    expect(outcomes?.map(({ status }) => status)).toEqual(Array(6).fill('rejected'));
    expect(unhandled.mock.calls).toEqual([]);
  });
});

/** Work that is done before the next turn. */
const turnless = async () => 1;
