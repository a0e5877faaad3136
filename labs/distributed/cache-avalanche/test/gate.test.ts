import { until } from '@shared/testkit';
import { describe, expect, test, vi } from 'vitest';
import {
  CircuitOpenError,
  DatabaseGate,
  DatabaseSparedError,
  GateFullError,
  type GateOptions,
  GateTimeoutError,
  LoadTimeoutError,
} from '#lab';
import { Depot, handClock, later, settled } from './kitchen.ts';

const failing = () => Promise.reject(new Error('the depot is closed'));

describe('the gate', () => {
  const gate = (options: GateOptions = {}) => {
    const clock = handClock();
    return { clock, gate: new DatabaseGate({ clock, maxConcurrent: 2, maxWaiting: 3, breaker: false, ...options }) };
  };

  test('no more loads run at once than the gate allows, in the order of arrival', async () => {
    const { gate: door } = gate({ maxWaiting: 20 });
    const depot = new Depot((load) => load);
    const order: number[] = [];
    const crowd = Array.from({ length: 12 }, (_, n) => later(door.run(depot.load).then(() => order.push(n))));
    await depot.begun(crowd, 2);
    expect(door.stats()).toMatchObject({ running: 2, waiting: 10, refused: 0 });
    for (let n = 0; n < 12; n++) {
      depot.one();
      await until(() => order.length === n + 1);
    }
    await Promise.all(crowd);
    expect(depot.most).toBe(2);
    expect(order).toEqual(Array.from({ length: 12 }, (_, n) => n));
    expect(door.stats()).toMatchObject({ running: 0, waiting: 0 });
  });

  test('the queue is bounded: who comes beyond it is refused at once', async () => {
    const { gate: door } = gate();
    const depot = new Depot(() => 1);
    const crowd = Array.from({ length: 9 }, () => door.run(depot.load).catch((error: unknown) => error));
    const refused = await Promise.race([Promise.all(crowd.slice(5)), settled().then(() => [])]);
    expect(refused).toHaveLength(4);
    for (const error of refused) {
      expect(error).toBeInstanceOf(GateFullError);
      expect(error).toBeInstanceOf(DatabaseSparedError);
      expect(error).toMatchObject({ retryAfterMs: 1_000 });
    }
    expect(door.stats()).toMatchObject({ running: 2, waiting: 3, refused: 4 });
    depot.open();
    expect(await Promise.all(crowd.slice(0, 5))).toEqual([1, 1, 1, 1, 1]);
  });

  test('who waits too long for a turn is sent away', async () => {
    const { gate: door, clock } = gate({ maxWaitMs: 100 });
    const depot = new Depot(() => 1);
    const running = [later(door.run(depot.load)), later(door.run(depot.load))];
    const waiting = door.run(depot.load).catch((error: unknown) => error);
    await clock.manual.advance(100);
    expect(await waiting).toBeInstanceOf(GateTimeoutError);
    depot.open();
    await Promise.all(running);
    expect(depot.loads).toBe(2);
  });

  test('a place is not given to somebody who has gone', async () => {
    const { gate: door, clock } = gate({ maxConcurrent: 1, maxWaitMs: 100 });
    const depot = new Depot(() => 1);
    const leaves = new AbortController();
    const first = later(door.run(depot.load));
    const left = door.run(depot.load, leaves.signal).catch((error: unknown) => error);
    const late = door.run(depot.load).catch((error: unknown) => error);
    await clock.manual.advance(50);
    const patient = later(door.run(depot.load));
    leaves.abort(new Error('had enough'));
    await clock.manual.advance(50);
    expect(await left).toMatchObject({ message: 'had enough' });
    expect(await late).toBeInstanceOf(GateTimeoutError);
    depot.open();
    const lost = settled().then(() => 'the place is lost');
    expect(await Promise.race([Promise.all([first, patient]), lost])).toEqual([1, 1]);
    expect(await door.run(depot.load)).toBe(1);
    // Not in the ticks of the hand-over either.
    for (let ticks = 0; ticks < 20; ticks++) {
      const [ends, goes, load] = [Promise.withResolvers<number>(), new AbortController(), vi.fn(async () => 1)];
      const before = door.run(() => ends.promise);
      const gone = later(door.run(load, goes.signal));
      ends.resolve(1);
      for (let tick = 0; tick < ticks; tick++) await null;
      const begun = load.mock.calls.length;
      goes.abort(new Error('had enough'));
      await Promise.allSettled([before, gone]);
      expect(load.mock.calls.length, `begun for who left after ${ticks} ticks`).toBe(begun);
    }
    expect(await door.run(depot.load)).toBe(1);
  });

  test('a load that fails, or throws at once, leaves its place', async () => {
    const { gate: door } = gate({ maxConcurrent: 1 });
    for (let n = 0; n < 5; n++) {
      await expect(door.run(failing)).rejects.toThrow('the depot is closed');
      const thrown = () => {
        throw new Error('at once');
      };
      await expect(door.run(thrown)).rejects.toThrow('at once');
    }
    expect(await door.run(async () => 1)).toBe(1);
    await until(() => door.stats().running === 0);
  });

  test('a load that goes on after its time keeps its place: the database is still at work', async () => {
    const { gate: door, clock } = gate({ maxConcurrent: 1, loadTimeoutMs: 100, maxWaitMs: 10_000, abandonMs: 1_000 });
    const depot = new Depot(() => 1);
    const deaf = door.run(depot.load).catch((error: unknown) => error);
    const next = door.run(depot.load).catch((error: unknown) => error);
    await clock.manual.advance(100);
    expect(await deaf).toBeInstanceOf(LoadTimeoutError);
    expect(depot.loads, 'loads at work or begun').toBe(1);
    depot.one();
    await until(() => depot.loads === 2);
    // And one that never ends is given up at last.
    await clock.manual.advance(100);
    expect(await next).toBeInstanceOf(LoadTimeoutError);
    await clock.manual.advance(1_000);
    expect(door.stats().running).toBe(0);
    depot.open();
    await settled();
    expect(door.stats().running, 'when it has ended after all').toBe(0);
  });

  test('what a gate is not told is as documented', async () => {
    const clock = handClock();
    const door = new DatabaseGate({ clock });
    const depot = new Depot(() => 1);
    const crowd = Array.from({ length: 111 }, () => door.run(depot.load).catch((error: unknown) => error));
    await depot.begun(crowd, 10);
    expect(door.stats()).toEqual({ running: 10, waiting: 100, refused: 1, circuit: 'closed' });
    await clock.manual.advance(999);
    expect(door.stats().waiting, 'after 999 ms').toBe(100);
    await clock.manual.advance(1);
    expect(door.stats(), 'after 1,000 ms').toMatchObject({ running: 10, waiting: 0, refused: 101 });
    depot.open();
    await Promise.all(crowd);
    // Of the last ten loads five have failed only once the first four failures are out of sight.
    const probed = new DatabaseGate({ clock });
    for (const end of 'ffffssssssffff') {
      await probed.run(end === 'f' ? failing : depot.load).catch(() => {});
      expect(probed.stats().circuit).toBe('closed');
    }
    await expect(probed.run(failing)).rejects.toThrow('the depot is closed');
    await expect(probed.run(depot.load)).rejects.toMatchObject({ name: 'CircuitOpenError', retryAfterMs: 5_000 });
  });

  test('after too many failures nothing is tried for a while, then one load', async () => {
    const { gate: door, clock } = gate({ breaker: { window: 4, failureRate: 0.5, openMs: 1_000 } });
    const depot = new Depot(() => 1, true);
    await door.run(depot.load);
    await door.run(depot.load);
    await expect(door.run(failing)).rejects.toThrow('the depot is closed');
    expect(door.stats().circuit).toBe('closed');
    await expect(door.run(failing)).rejects.toThrow('the depot is closed');
    expect(door.stats().circuit).toBe('open');
    await clock.manual.advance(400);
    await expect(door.run(depot.load)).rejects.toMatchObject({ name: 'CircuitOpenError', retryAfterMs: 600 });
    expect(depot.loads).toBe(2);
    await clock.manual.advance(599);
    await expect(door.run(depot.load)).rejects.toMatchObject({ retryAfterMs: 1 });
    await clock.manual.advance(1);
    const slow = new Depot(() => 2);
    const probe = later(door.run(slow.load));
    await slow.begun(probe);
    await expect(door.run(depot.load)).rejects.toThrow(CircuitOpenError);
    slow.open();
    expect(await probe).toBe(2);
    expect(await door.run(depot.load)).toBe(1);
    expect(door.stats().circuit).toBe('closed');
    // 50 × 0.14 is 7.000000000000001.
    const { gate: exact } = gate({ breaker: { window: 50, failureRate: 0.14 } });
    for (let n = 1; n <= 50; n++) await exact.run(n <= 7 ? failing : depot.load).catch(() => {});
    expect(exact.stats().circuit, '7 of 50').toBe('open');
  });

  test('who waits while the circuit opens is refused, and the database is not asked', async () => {
    const { gate: door } = gate({ maxConcurrent: 1, breaker: { window: 1 } });
    const depot = new Depot(() => failing());
    const [first, second] = [later(door.run(depot.load)), later(door.run(depot.load))];
    await depot.begun([first, second]);
    depot.open();
    await expect(first).rejects.toThrow('the depot is closed');
    await expect(second).rejects.toThrow(CircuitOpenError);
    expect(depot.loads).toBe(1);
    expect(door.stats()).toEqual({ running: 0, waiting: 0, refused: 1, circuit: 'open' });
  });

  test('a probe that fails or hangs opens the circuit again', async () => {
    const breaker = { window: 1, openMs: 1_000 };
    const { gate: door, clock } = gate({ breaker, loadTimeoutMs: 100 });
    await expect(door.run(failing)).rejects.toThrow('the depot is closed');
    await clock.manual.advance(1_000);
    await expect(door.run(failing)).rejects.toThrow('the depot is closed');
    await expect(door.run(failing)).rejects.toMatchObject({ name: 'CircuitOpenError', retryAfterMs: 1_000 });
    await clock.manual.advance(1_000);
    const hung = door.run(() => new Promise(() => {})).catch((error: unknown) => error);
    await clock.manual.advance(100);
    expect(await hung).toBeInstanceOf(LoadTimeoutError);
    expect(door.stats().circuit).toBe('open');
  });

  test('how a load ends counts in the period in which it began', async () => {
    const { gate: door, clock } = gate({ breaker: { window: 1, openMs: 1_000 } });
    const late = new Depot(() => 1);
    const slow = later(door.run(late.load));
    await late.begun(slow);
    await expect(door.run(failing)).rejects.toThrow('the depot is closed');
    await clock.manual.advance(1_000);
    const probe = new Depot(() => 2);
    const probing = later(door.run(probe.load));
    await probe.begun(probing);
    late.open();
    await slow;
    expect(door.stats().circuit).toBe('probing');
    probe.open();
    await probing;
    expect(door.stats().circuit).toBe('closed');
  });

  test('neither a caller who leaves nor an error that is an answer says that the database is unwell', async () => {
    const isFailure = (error: unknown) => !(error instanceof RangeError);
    const { gate: door, clock } = gate({ breaker: { window: 2, failureRate: 1, openMs: 1_000, isFailure } });
    const depot = new Depot(() => 1);
    const saysNothing = async () => {
      await expect(door.run(() => Promise.reject(new RangeError('no such shelf')))).rejects.toThrow('no such shelf');
      const leaves = new AbortController();
      const left = door.run(depot.load, leaves.signal).catch((error: unknown) => error);
      await depot.begun(left, depot.loads + 1);
      leaves.abort(new Error('had enough'));
      expect(await left).toMatchObject({ message: 'had enough' });
    };
    await expect(door.run(failing)).rejects.toThrow('the depot is closed');
    await saysNothing();
    expect(door.stats().circuit).toBe('closed');
    await expect(door.run(failing), 'the second of two').rejects.toThrow('the depot is closed');
    expect(door.stats().circuit).toBe('open');
    // Nor does one that is the probe: the next load is the next probe.
    await clock.manual.advance(1_000);
    depot.open();
    for (const _ of ['the probe', 'the next one'])
      await expect(door.run(() => Promise.reject(new RangeError('no such shelf')))).rejects.toThrow('no such shelf');
    expect(door.stats().circuit).toBe('open');
    expect(await door.run(depot.load)).toBe(1);
    expect(door.stats().circuit).toBe('closed');
  });

  test('an error that the judge can not read counts as a failure, and the caller gets it', async () => {
    const isFailure = (error: unknown) => {
      throw new TypeError(`what is ${error}?`);
    };
    const { gate: door, clock } = gate({ breaker: { window: 1, openMs: 1_000, isFailure } });
    for (const of of ['a load', 'the probe']) {
      await expect(door.run(failing), of).rejects.toThrow('the depot is closed');
      expect(door.stats().circuit, of).toBe('open');
      await clock.manual.advance(1_000);
    }
    expect(await door.run(async () => 1)).toBe(1);
  });
});
