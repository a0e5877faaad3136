import { getEventListeners, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { outcome, until } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import {
  allocations,
  attach,
  BusyError,
  InvalidArgumentError,
  type LoopMeasure,
  ProtocolError,
  TargetEndedError,
} from '#lab';
import { end, openShop } from './processes.ts';

describe('a session', () => {
  test('calls of a live process are counted, without a restart', async () => {
    await using shop = await openShop('logins');
    await using attached = await attach(shop.pid);
    const calls = await attached.callCounts({ ms: 150, accept: (url) => url.endsWith('clinic.ts') });
    const of = (name: string) => calls.find((row) => row.name === name)?.calls ?? 0;
    expect(of('login'), 'logins').toBeGreaterThan(9);
    // Counting may begin and end between two guests of one five.
    expect(Math.abs(of('checkPassword') - 0.8 * of('login')), 'guests beside four in five').toBeLessThanOrEqual(2);
  });

  test('the heap grows where it is kept, not where it is littered', { timeout: 15_000 }, async () => {
    await using shop = await openShop('leaking');
    await using attached = await attach(shop.pid);
    // On a busy machine it may have allocated next to nothing by then.
    const [site, ...others] = await until(
      async () => {
        const sites = allocations(await attached.heap({ ms: 250, intervalBytes: 8192 }));
        return sites.reduce((all, { bytes }) => all + bytes, 0) > 200_000 ? sites : undefined;
      },
      { timeoutMs: 10_000, what: 'enough to look at' },
    );
    expect(site?.name, 'most that stayed').toBe('keepReceipt');
    expect(others.every(({ bytes }) => bytes > 0)).toBe(true);
    expect(site?.url).toMatch(/clinic\.ts$/);
    expect(site?.share, 'its share').toBeGreaterThan(0.7);
    expect(site?.stack.at(-1)).toBe('keepReceipt');
    const litter = others.find(({ name }) => name === 'wipeTable');
    expect(litter?.share ?? 0, 'what was thrown away').toBeLessThan(0.2);
  });

  test('a loop that stalls is told from one that is free, and from one that never comes round', {
    timeout: 15_000,
  }, async () => {
    // On a busy machine a free loop may have to wait for a processor, which is taken for work, and a window may hold but a
    // part of a stall.
    const fits = {
      stalling: ({ utilization, longestStallMs }: LoopMeasure) => utilization > 0.4 && longestStallMs > 100,
      nothing: ({ utilization }: LoopMeasure) => utilization < 0.4,
      looping: () => true,
    };
    const measure = async (kind: keyof typeof fits) => {
      await using shop = await openShop(kind);
      await using attached = await attach(shop.pid);
      const seen = until(async () => {
        const now = await attached.loop({ ms: kind === 'stalling' ? 300 : 100 });
        return fits[kind](now) ? now : undefined;
      });
      return await seen.catch((error) => {
        const ended = shop.child.signalCode ?? shop.child.exitCode ?? 'it lives';
        return expect.fail(`${kind}: ${error} (${ended}; it said: ${shop.said()})`);
      });
    };
    const [, , looping] = await Promise.all([measure('stalling'), measure('nothing'), measure('looping')]);
    expect(looping, 'never came round').toEqual({ utilization: expect.closeTo(1, 1), longestStallMs: 100 });
  });

  test('a stall that lasts when the time is over is a stall', async () => {
    await using shop = await openShop('nothing');
    await using attached = await attach(shop.pid);
    const { signal } = new AbortController();
    const measuring = attached.loop({ ms: 300, signal });
    await until(() => getEventListeners(signal, 'abort').length > 0, { what: 'the wait' });
    await delay(40);
    shop.child.kill('SIGSTOP');
    await delay(300);
    shop.child.kill('SIGCONT');
    expect((await measuring).longestStallMs).toBeGreaterThan(150);
  });

  test('a measurement that ends as its own timer is about to run leaves the process alive', async () => {
    await using shop = await openShop('traced');
    await using attached = await attach(shop.pid);
    // One in so many comes between: each timer of this process spends nearly all of its time there.
    for (let turn = 0; turn < 5; turn++) await attached.loop({ ms: 25 });
    expect(shop.said(), 'nothing was thrown').not.toContain('Error');
    await shop.used();
  });

  test('a process that is to end while it is measured ends, and the measurement says so', async () => {
    await using shop = await openShop('nothing');
    await using attached = await attach(shop.pid);
    const ended = once(shop.child, 'exit');
    const { signal } = new AbortController();
    const measuring = outcome(attached.loop({ ms: 60_000, signal }));
    await until(() => getEventListeners(signal, 'abort').length > 0, { what: 'the wait' });
    shop.child.disconnect();
    expect((await measuring).error).toBeInstanceOf(TargetEndedError);
    await ended;
  });

  test('threads are listed: the profile of the main thread has nothing of them', async () => {
    await using shop = await openShop('thread');
    await using attached = await attach(shop.pid);
    const found = await until(async () => {
      const workers = await attached.workers();
      return workers.length > 0 ? workers : undefined;
    });
    expect(found.map(({ title }) => title)).toEqual([expect.stringContaining('roaster')]);
  });

  test('one measurement at a time: two would end each other', async () => {
    await using shop = await openShop('serving');
    await using attached = await attach(shop.pid);
    const [one, two] = await Promise.all([outcome(attached.record({ ms: 100 })), outcome(attached.loop({ ms: 10 }))]);
    expect(two.error).toBeInstanceOf(BusyError);
    expect(one.value?.samples?.length, 'the first is whole').toBeGreaterThan(0);
    expect((await attached.record({ ms: 20 })).samples?.length, 'then the next').toBeGreaterThan(0);
  });

  test('an abort ends the measurement with its reason, and leaves nothing on the signal', async () => {
    await using shop = await openShop('serving');
    await using attached = await attach(shop.pid);
    const reason = new Error('closing time');
    for (const kind of ['record', 'callCounts', 'heap', 'loop'] as const) {
      const closing = new AbortController();
      const measuring = outcome<unknown>(attached[kind]({ ms: 60_000, signal: closing.signal }));
      await until(() => getEventListeners(closing.signal, 'abort').length > 0, { what: 'the wait' });
      closing.abort(reason);
      expect((await measuring).error, kind).toBe(reason);
      expect(getEventListeners(closing.signal, 'abort')).toEqual([]);
    }
    expect((await attached.record({ ms: 20 })).samples?.length, 'it goes on').toBeGreaterThan(0);
  });

  test('what no timer keeps, and what V8 cannot sample at, is refused; what is at the bounds is not', async () => {
    await using shop = await openShop('serving');
    await using attached = await attach(shop.pid);
    // Whatever is not refused ends with this.
    const reason = new Error('closing time');
    const signal = AbortSignal.abort(reason);
    const bounds: [string, (value: number) => Promise<unknown>, good: number[], bad: number[]][] = [
      ['ms', (ms) => attached.record({ ms, signal }), [0.5, 2 ** 31 - 1], [0, -1, NaN, 2 ** 31]],
      ['intervalUs', (us) => attached.record({ ms: 1, intervalUs: us, signal }), [50, 1e6], [1, 49, 100.5, 1e6 + 1]],
      // V8 ends the whole target for some of these.
      ['intervalBytes', (n) => attached.heap({ ms: 1, intervalBytes: n, signal }), [1, 2 ** 30], [0.5, 0, 2 ** 30 + 1]],
    ];
    for (const [what, call, good, bad] of bounds) {
      for (const value of good) expect((await outcome(call(value))).error, `${what} ${value}`).toBe(reason);
      for (const value of bad)
        expect((await outcome(call(value))).error, `${what} ${value}`).toBeInstanceOf(InvalidArgumentError);
    }
  });

  test('what the target refuses is told: to be measured, or to close its inspector', async () => {
    await using shop = await openShop('refusing');
    const attached = await attach(shop.pid);
    expect((await outcome(attached.loop({ ms: 10 }))).error).toBeInstanceOf(ProtocolError);
    expect((await outcome(attached.detach(), 3000)).error).toBeInstanceOf(ProtocolError);
  });

  test('a target that dies in the middle ends the measurement, and can be left', async () => {
    await using shop = await openShop('serving');
    const attached = await attach(shop.pid);
    const closing = new AbortController();
    const recording = outcome(attached.record({ ms: 60_000, signal: closing.signal }));
    await until(() => getEventListeners(closing.signal, 'abort').length > 0, { what: 'the wait' });
    await end(shop.child);
    expect((await recording).error).toBeInstanceOf(TargetEndedError);
    await attached.detach();
    await attached.detach();
  });
});
