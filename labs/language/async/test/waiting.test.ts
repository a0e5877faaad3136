import { History, outcome, random } from '@shared/testkit';
import { describe, expect, test, vi } from 'vitest';
import {
  Barrier,
  Channel,
  ChannelClosedError,
  Condition,
  Event,
  type HeldCondition,
  Lock,
  LockNotHeldError,
  mapBounded,
  Semaphore,
  TaskGroupError,
} from '#lab';
import { begun, dish, turn, untilAborted, watch } from './kitchen.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const SOLD_OUT = new Error('sold out');
const NOT_HUNGRY = new Error('the guest has left');

describe('semaphore and lock', () => {
  test('a semaphore lets in as many as it has permits, in the order of arrival', async () => {
    const oven = new Semaphore(2);
    const history = new History();
    const permits = new Map<string, Disposable>();
    const arrive = async (cook: string) => {
      permits.set(cook, await oven.acquire());
      history.record(cook);
    };
    const leave = (cook: string) => permits.get(cook)?.[Symbol.dispose]();
    for (const cook of ['A', 'B', 'C', 'D']) begun(arrive(cook));
    await turn();
    expect(history.ops, 'two ovens').toEqual(['A', 'B']);
    expect([oven.free, oven.waiting]).toEqual([0, 2]);
    leave('A');
    begun(arrive('E'));
    await turn();
    expect(history.ops, 'C was there before E').toEqual(['A', 'B', 'C']);
    leave('B');
    leave('C');
    await turn();
    expect(history.ops).toEqual(['A', 'B', 'C', 'D', 'E']);
    leave('D');
    leave('E');
    expect([oven.free, oven.waiting]).toEqual([2, 0]);
  });

  test('no permit goes to a waiter who has left', async () => {
    const oven = new Semaphore(1);
    const [first, second] = [new AbortController(), new AbortController()];
    const baking = await oven.acquire();
    const gone = begun(oven.acquire({ signal: first.signal }));
    const fickle = begun(oven.acquire({ signal: second.signal }));
    const patient = begun(oven.acquire());
    const watched = watch(patient);
    first.abort(NOT_HUNGRY);
    expect((await outcome(gone)).error, 'who leaves the line gets his reason').toBe(NOT_HUNGRY);
    expect(oven.waiting, 'his place in the line is gone').toBe(2);
    // The permit comes, and in the same turn its taker leaves.
    baking[Symbol.dispose]();
    second.abort(NOT_HUNGRY);
    expect((await outcome(fickle)).error, 'who leaves in the turn in which a permit comes to him').toBe(NOT_HUNGRY);
    await turn();
    expect(watched.state, 'the permit went on to the next').toBe('done');
    (await patient)[Symbol.dispose]();
    expect([oven.free, oven.waiting]).toEqual([1, 0]);
  });

  test('a permit that is given back twice counts once', async () => {
    const lock = new Lock();
    {
      using held = await lock.acquire();
      expect(lock.locked).toBe(true);
      held[Symbol.dispose]();
      expect(lock.locked).toBe(false);
    }
    expect(lock.free).toBe(1);
  });

  test('never too many inside, and no permit lost, while guests come and go', async () => {
    const { int, next } = random(SEED);
    const oven = new Semaphore(3);
    const history = new History();
    const [inside, most] = [new Set<number>(), { now: 0 }];
    const guests = Array.from({ length: 200 }, async (_, guest) => {
      for (let wait = int(0, 20); wait > 0; wait--) await turn();
      const door = new AbortController();
      const asked = oven.acquire({ signal: door.signal });
      if (next() < 0.5) void leaveAfter(int(0, 8), door);
      try {
        using _permit = await asked;
        inside.add(guest);
        most.now = Math.max(most.now, inside.size);
        history.record(`${guest} in, ${inside.size} inside`);
        for (let bake = int(0, 3); bake > 0; bake--) await turn();
        inside.delete(guest);
      } catch (error) {
        expect(error).toBe(NOT_HUNGRY);
        history.record(`${guest} has left`);
      }
    });
    expect((await outcome(Promise.all(guests), 4_000)).error).toBeUndefined();
    expect(most.now).toBe(3);
    expect([oven.free, oven.waiting]).toEqual([3, 0]);
  });
});

const leaveAfter = async (turns: number, door: AbortController) => {
  for (; turns > 0; turns--) await turn();
  door.abort(NOT_HUNGRY);
};

describe('event, condition, barrier', () => {
  test('an event lets through who waits and who comes, until it is cleared', async () => {
    const bell = new Event();
    const door = new AbortController();
    const waits = [bell.wait(), bell.wait()].map(begun);
    const gone = begun(bell.wait({ signal: door.signal }));
    door.abort(NOT_HUNGRY);
    expect((await outcome(gone)).error).toBe(NOT_HUNGRY);
    bell.set();
    await outcome(Promise.all([...waits, bell.wait()]));
    expect(bell.isSet).toBe(true);
    bell.clear();
    const watched = watch(begun(bell.wait()));
    await turn();
    expect(watched.state).toBe('pending');
    bell.set();
    await turn();
    expect(watched.state).toBe('done');
  });

  test('a condition wakes the first who waits, and he has the lock again', async () => {
    const counter = new Condition();
    const history = new History();
    let plates = 0;
    const eat = async (guest: string) => {
      using held = await counter.acquire();
      await held.waitFor(() => plates > 0);
      plates--;
      history.record(`${guest} eats`);
      await turn();
      history.record(`${guest} has eaten`);
    };
    const guests = [begun(eat('A')), begun(eat('B'))];
    await turn();
    for (const all of [false, true]) {
      using cook = await counter.acquire();
      plates++;
      if (all) cook.notifyAll();
      else cook.notify();
    }
    await outcome(Promise.all(guests));
    expect(history.ops).toEqual(['A eats', 'A has eaten', 'B eats', 'B has eaten']);
    expect(plates).toBe(0);
  });

  test('the call for a waiter who has left wakes the next, and nobody leaves without the lock', async () => {
    const counter = new Condition();
    const door = new AbortController();
    const history = new History();
    const waitAs = async (guest: string, signal?: AbortSignal) => {
      using held = await counter.acquire();
      try {
        await held.wait({ signal });
        history.record(`${guest} served`);
      } catch (error) {
        expect(error).toBe(NOT_HUNGRY);
        held.notify();
        history.record(`${guest} left, with the lock`);
      }
    };
    const guests = [begun(waitAs('A', door.signal)), begun(waitAs('B')), begun(waitAs('C'))];
    await turn();
    {
      using cook = await counter.acquire();
      cook.notify();
      door.abort(NOT_HUNGRY);
    }
    await outcome(Promise.all(guests));
    expect(history.ops, 'the call, then what A called when he left').toEqual([
      'A left, with the lock',
      'B served',
      'C served',
    ]);
    const held = await counter.acquire();
    held[Symbol.dispose]();
    held[Symbol.dispose]();
    expect(() => held.notify()).toThrow(LockNotHeldError);
    expect(() => held.notifyAll()).toThrow(LockNotHeldError);
    for (const wait of [held.wait(), held.waitFor(() => true)]) {
      expect((await outcome(wait)).error).toBeInstanceOf(LockNotHeldError);
    }
    (await counter.acquire())[Symbol.dispose]();
  });

  test('who has disposed of a condition waits no more, and takes no call from others', async () => {
    const counter = new Condition();
    const asked: string[] = [];
    const leave = async (wait: (held: HeldCondition) => Promise<void>) => {
      using held = await counter.acquire();
      return { waited: begun(wait(held)) };
    };
    const gone = [
      await leave((held) => held.wait()),
      await leave((held) => held.waitFor(() => asked.push('without the lock') > 1)),
    ];
    const fickle = await counter.acquire();
    const last = { waited: begun(fickle.wait()) };
    using patient = await counter.acquire();
    const served = begun(patient.wait());
    {
      using cook = await counter.acquire();
      cook.notify();
      // Woken, and gone in the same turn.
      fickle[Symbol.dispose]();
    }
    expect((await outcome(served)).error, 'the only one who is still there was called').toBeUndefined();
    for (const { waited } of [...gone, last]) {
      expect((await outcome(waited)).error).toBeInstanceOf(LockNotHeldError);
    }
    patient[Symbol.dispose]();
    const leaver = await counter.acquire();
    const left = begun(leaver.wait());
    using next = await counter.acquire();
    const waits = watch(begun(next.wait()));
    leaver[Symbol.dispose]();
    await outcome(left);
    (await counter.acquire())[Symbol.dispose]();
    await turn();
    expect(waits.state, 'nobody has called').toBe('pending');
    expect(asked.length, 'the condition was asked while the lock was held').toBe(1);
  });

  test('a barrier opens for as many as it counts, and closes behind them', async () => {
    const table = new Barrier(3);
    for (let round = 0; round < 2; round++) {
      const door = new AbortController();
      const gone = begun(table.wait({ signal: door.signal }));
      const first = begun(table.wait());
      door.abort(NOT_HUNGRY);
      expect((await outcome(gone)).error).toBe(NOT_HUNGRY);
      const second = begun(table.wait());
      await turn();
      expect(table.waiting, 'two of three: who left is not counted').toBe(2);
      const places = (await outcome(Promise.all([first, second, table.wait()]))).value;
      expect(places?.toSorted()).toEqual([0, 1, 2]);
      expect(table.waiting).toBe(0);
    }
    expect(await new Barrier(1).wait()).toBe(0);
  });
});

describe('channel', () => {
  test('a full channel holds its producer back until there is room', async () => {
    const shelf = new Channel<number>(3);
    const history = new History();
    const cook = begun(
      (async () => {
        for (let plate = 1; plate <= 6; plate++) {
          await shelf.put(plate);
          history.record(`${plate} on the shelf`);
        }
      })(),
    );
    await turn();
    expect(history.ops.length, 'plates on a shelf for three').toBe(3);
    expect([await shelf.get(), shelf.size]).toEqual([1, 3]);
    await turn();
    expect(history.ops.length, 'one was taken, one was put').toBe(4);
    const eaten = [];
    while (eaten.length < 5) eaten.push((await outcome(shelf.get())).value);
    expect(eaten).toEqual([2, 3, 4, 5, 6]);
    await outcome(cook);
    const hungry = begun(shelf.get());
    await shelf.put(7);
    expect((await outcome(hungry)).value, 'who waits is served first').toBe(7);
    expect(shelf.size).toBe(0);
  });

  test('every value that was put comes out once, whoever leaves', async () => {
    const { int, next } = random(SEED);
    const shelf = new Channel<number>(4);
    const [history, put, got] = [new History(), [] as number[], [] as number[]];
    const often = async (act: (signal: AbortSignal) => Promise<void>, more: () => boolean) => {
      while (more()) {
        const door = new AbortController();
        if (next() < 0.5) void leaveAfter(int(0, 4), door);
        await act(door.signal).catch((error: unknown) => error === NOT_HUNGRY || Promise.reject(error));
      }
    };
    let plates = 0;
    const cook = async (signal: AbortSignal) => {
      const plate = ++plates;
      await shelf.put(plate, { signal });
      put.push(plate);
      history.record(`${plate} put`);
      for (let rest = int(0, 1); rest > 0; rest--) await turn();
    };
    const eat = async (signal: AbortSignal) => {
      got.push(await shelf.get({ signal }));
      history.record(`${got.at(-1)} taken`);
    };
    const cooks = [1, 2, 3].map(() => often(cook, () => plates < 400));
    const cooked = Promise.all(cooks).finally(() => shelf.close());
    const guests = [1, 2].map(() => often(eat, () => true));
    const closed = guests.map((guest) =>
      guest.catch((error: unknown) => error instanceof ChannelClosedError || Promise.reject(error)),
    );
    expect((await outcome(Promise.all([cooked, ...closed]))).error).toBeUndefined();
    const sorted = (values: readonly number[]) => values.toSorted((x, y) => x - y);
    expect(sorted(got)).toEqual(sorted(put));
    expect(put.length).toBeGreaterThan(100);
  });

  test('closing a channel wakes all who wait, and leaves what is on the shelf', async () => {
    const shelf = new Channel<string | undefined>(2);
    await shelf.put('soup');
    await shelf.put(undefined);
    const waiting = begun(shelf.put('roast'));
    shelf.close();
    expect((await outcome(waiting)).error).toBeInstanceOf(ChannelClosedError);
    expect((await outcome(shelf.put('ice'))).error).toBeInstanceOf(ChannelClosedError);
    expect(await shelf.get()).toBe('soup');
    const rest: unknown[] = [];
    for await (const plate of shelf) rest.push(plate);
    expect(rest, 'undefined is a value too').toEqual([undefined]);
    const promised = new Channel<Promise<string>>(1);
    const next = begun(promised[Symbol.asyncIterator]().next());
    await promised.put(Promise.reject(SOLD_OUT));
    expect((await outcome(next)).error, 'a failure is not the end').toBe(SOLD_OUT);
    const empty = new Channel<string>(1);
    const hungry = [begun(empty.get()), begun(empty.get())];
    empty.close();
    for (const each of hungry) expect((await outcome(each)).error).toBeInstanceOf(ChannelClosedError);
    const thrown = new Channel<string>(1);
    await thrown.put('burnt');
    thrown.close(true);
    expect((await outcome(thrown.get())).error, 'closed at once').toBeInstanceOf(ChannelClosedError);
  });

  test('who breaks off leaves the rest, and the channel, to others', async () => {
    const shelf = new Channel<number>(3);
    for (const plate of [1, 2, 3]) await shelf.put(plate);
    for await (const plate of shelf) if (plate === 2) break;
    expect(await shelf.get()).toBe(3);
    const iterator = shelf[Symbol.asyncIterator]();
    const waiting = begun(iterator.next());
    await iterator.return?.();
    expect((await outcome(waiting)).value).toEqual({ done: true, value: undefined });
    await shelf.put(4);
    expect(await shelf.get(), 'not given to one who has left').toBe(4);
  });
});

describe('mapBounded', () => {
  /** Calls that end when the law says so, and what the source has been asked for. */
  const market = (size: number) => {
    const stalls = Array.from({ length: size }, () => dish<number>());
    const seen = { read: 0, running: 0, most: 0, closed: 0, aborted: 0 };
    const source = (function* () {
      try {
        for (let stall = 0; stall < size; stall++) {
          seen.read++;
          yield stall;
        }
      } finally {
        seen.closed++;
      }
    })();
    const fetch = async (stall: number, signal: AbortSignal) => {
      seen.most = Math.max(seen.most, ++seen.running);
      signal.addEventListener('abort', () => seen.aborted++);
      try {
        return await (stalls[stall]?.promise ?? stall);
      } finally {
        seen.running--;
      }
    };
    const answer = (stall: number) => stalls[stall]?.resolve(stall);
    return { source, fetch, seen, stalls, answer };
  };

  test('a map has no more than its limit under way, and reads no further ahead', async () => {
    const { int } = random(SEED);
    const { source, fetch, seen, answer } = market(200);
    const prices = mapBounded(source, 10, fetch, { ordered: false });
    const taken: number[] = [];
    const open = new Set(Array.from({ length: 200 }, (_, stall) => stall));
    const history = new History();
    const first = begun(prices.next());
    await turn();
    await turn();
    expect([seen.running, seen.read], 'running and read, before the first answer').toEqual([10, 10]);
    const shopping = (async () => {
      for (let next = await first; !next.done; next = await prices.next()) taken.push(next.value);
    })();
    while (open.size > 0) {
      const asked = [...open].filter((stall) => stall < seen.read);
      const stall = asked[int(0, asked.length - 1)];
      if (stall === undefined) throw new Error(`no call under way, and ${open.size} to come`);
      open.delete(stall);
      answer(stall);
      for (let turns = 0; turns < 2; turns++) await turn();
      history.record(`${seen.read} read, ${taken.length} taken, ${seen.running} running`);
      expect(seen.read - taken.length, 'read ahead').toBeLessThanOrEqual(10);
    }
    await outcome(shopping);
    expect(seen.most).toBe(10);
    expect(taken.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, stall) => stall));
  });

  test('a consumer who stands still stops the reading, whatever has been answered', async () => {
    const { source, fetch, seen, answer } = market(100);
    const prices = mapBounded(source, 4, fetch);
    const first = begun(prices.next());
    for (let stall = 0; stall < 100; stall++) answer(stall);
    await outcome(first);
    for (let turns = 0; turns < 5; turns++) await turn();
    expect(seen.read, 'one was taken, four are ahead').toBe(5);
    await prices.return();
    expect(seen.closed).toBe(1);
  });

  test('results come in the order of the source, or as they come', async () => {
    for (const options of [{}, { ordered: false }]) {
      const { source, fetch, answer } = market(3);
      const taken: number[] = [];
      const shopping = begun(
        (async () => {
          for await (const price of mapBounded(source, 3, fetch, options)) taken.push(price);
        })(),
      );
      for (const stall of [2, 0, 1]) {
        await turn();
        answer(stall);
      }
      await outcome(shopping);
      expect(taken).toEqual('ordered' in options ? [2, 0, 1] : [0, 1, 2]);
    }
    const letters = Array.fromAsync(mapBounded('soup', 2, (letter) => letter));
    expect((await outcome(letters)).value, 'a string is a source too').toEqual([...'soup']);
    const promised = Array.fromAsync(mapBounded([Promise.resolve(1), 2], 2, (value) => value));
    expect((await outcome(promised)).value).toEqual([1, 2]);
  });

  test('the first failure of a map aborts the other calls, waits for them and closes the source', async () => {
    for (const ordered of [true, false]) {
      const { source, fetch, seen, stalls } = market(10);
      const prices = mapBounded(source, 3, fetch, { ordered });
      const first = begun(prices.next());
      await turn();
      stalls[1]?.reject(SOLD_OUT);
      await turn();
      expect([seen.aborted, seen.read]).toEqual([3, 3]);
      expect(watch(first).state, 'two calls are still ending').toBe('pending');
      for (const stall of [0, 2]) stalls[stall]?.reject(SOLD_OUT);
      const { error } = await outcome(first);
      expect(error).toBeInstanceOf(TaskGroupError);
      expect(error).toHaveProperty('errors', [SOLD_OUT]);
      expect([seen.running, seen.closed]).toEqual([0, 1]);
      expect(await prices.next()).toEqual({ done: true, value: undefined });
      const next = market(3);
      const late = mapBounded(next.source, 3, next.fetch, { ordered });
      next.answer(0);
      await late.next();
      next.answer(1);
      await turn();
      next.stalls[2]?.reject(SOLD_OUT);
      await turn();
      expect((await outcome(late.next())).error, 'what has come is not given any more').toHaveProperty('errors', [
        SOLD_OUT,
      ]);
    }
  });

  test('a source is closed once, and not when it has ended or failed by itself', async () => {
    /** The times that its `return` was called, when its third value fails, or isn't there, or the consumer breaks off. */
    const closings = async (third: () => Promise<IteratorResult<number>>, breaks = false) => {
      let [read, closed] = [0, 0];
      const iterator = {
        next: async () => (++read < 3 ? { done: false, value: read } : third()),
        return: async () => {
          await turn();
          return { done: true as const, value: ++closed };
        },
      };
      const source: AsyncIterable<number> = { [Symbol.asyncIterator]: () => iterator };
      const reading = async () => {
        for await (const _ of mapBounded(source, 1, (value) => value)) if (breaks) break;
      };
      const { error } = await outcome(reading());
      return { error, closed };
    };
    const end = async () => ({ done: true as const, value: undefined });
    expect(await closings(end)).toEqual({ error: undefined, closed: 0 });
    expect(await closings(end, true)).toEqual({ error: undefined, closed: 1 });
    const failed = expect.objectContaining({ name: 'TaskGroupError', errors: [SOLD_OUT] });
    expect(await closings(() => Promise.reject(SOLD_OUT))).toEqual({ error: failed, closed: 0 });
    let closed = 0;
    const promises = (function* () {
      try {
        yield Promise.reject(SOLD_OUT);
      } finally {
        closed++;
      }
    })();
    const { error } = await outcome(Array.fromAsync(mapBounded(promises, 1, (it) => it)));
    expect({ error, closed }, 'it gave a promise that failed, and has not failed itself').toEqual({
      error: failed,
      closed: 1,
    });
  });

  test('a break ends the calls under way and closes the source', async () => {
    const { source, seen } = market(10);
    let ended = 0;
    const shopping = async () => {
      const fetch = (stall: number, signal: AbortSignal) =>
        stall === 0 ? stall : untilAborted(signal).finally(() => ended++);
      for await (const _ of mapBounded(source, 3, fetch)) {
        await turn();
        break;
      }
    };
    expect((await outcome(shopping())).error).toBeUndefined();
    expect({ read: seen.read, ended, closed: seen.closed }).toEqual({ read: 4, ended: 3, closed: 1 });
  });

  test('who aborts a map gets his own reason, also while its source has nothing to give', async () => {
    const [shelf, door] = [new Channel<string>(1), new AbortController()];
    const meals = mapBounded(shelf, 2, untilAbortedBy, { signal: door.signal });
    const first = begun(meals.next());
    await shelf.put('soup');
    await turn();
    door.abort(NOT_HUNGRY);
    expect((await outcome(first)).error).toBe(NOT_HUNGRY);
    await shelf.put('roast');
    expect(await shelf.get(), 'nobody reads any more').toBe('roast');
    const hanging = new AbortController();
    const [meal, closed] = [dish(), vi.fn(() => ({ done: true as const, value: undefined }))];
    const iterator = { next: () => ({ done: false, value: meal.promise }), return: closed };
    const source = { [Symbol.iterator]: () => iterator };
    const promised = mapBounded(source, 1, (each) => each, { signal: hanging.signal });
    const never = begun(promised.next());
    await turn();
    hanging.abort(NOT_HUNGRY);
    expect((await outcome(never)).error, 'a promise that nobody keeps').toBe(NOT_HUNGRY);
    meal.reject(SOLD_OUT);
    await turn();
    expect(closed, 'its source was closed, once').toHaveBeenCalledOnce();
    for (const taken of [1, 2, 3]) {
      const late = new AbortController();
      const prices = mapBounded([1, 2, 3], 2, (price) => price, { signal: late.signal });
      for (let n = 0; n < taken; n++) await prices.next();
      await turn();
      late.abort(NOT_HUNGRY);
      expect((await outcome(prices.next())).error, 'and nobody is given what has come').toBe(NOT_HUNGRY);
    }
  });

  test('a map ends with its consumer, also one of a map whose source has nothing to give', async () => {
    for (const way of ['a break', 'a failure', 'an abort'] as const) {
      const [shelf, door] = [new Channel<string>(2), new AbortController()];
      const washed = mapBounded(shelf, 2, (dish) => dish);
      const fail = (dish: string) => (way === 'a failure' && dish === 'roast' ? Promise.reject(SOLD_OUT) : dish);
      const dinner = async () => {
        for await (const dish of mapBounded(washed, 2, fail, { signal: door.signal })) {
          if (dish === 'soup') continue;
          if (way === 'a break') break;
          door.abort(NOT_HUNGRY);
        }
      };
      const eaten = begun(dinner());
      for (const dish of ['soup', 'roast']) await shelf.put(dish);
      const { error } = await outcome(eaten);
      if (way === 'a failure') expect(error).toHaveProperty('errors', [SOLD_OUT]);
      else expect(error, way).toBe(way === 'a break' ? undefined : NOT_HUNGRY);
    }
    const prices = mapBounded(new Channel(1), 1, (price) => price);
    const end = { done: true, value: undefined };
    const waiting = begun(prices.next());
    await turn();
    expect((await outcome(Promise.all([prices.return(), waiting, prices.next()]))).value).toEqual([end, end, end]);
  });

  test('a long row of ready values lets timers fire', async () => {
    let [fired, served] = [false, 0];
    const endless = (function* () {
      for (;;) yield 'soup';
    })();
    setTimeout(() => {
      fired = true;
    }, 0);
    for await (const _ of mapBounded(endless, 10, (it) => it)) if (fired || ++served === 100_000) break;
    expect(fired, 'fired before 100,000 values').toBe(true);
  });
});

const untilAbortedBy = (_: string, signal: AbortSignal) => untilAborted(signal);
