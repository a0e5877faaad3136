import { getEventListeners, once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { outcome, until } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import {
  allocations,
  attach,
  BusyError,
  callCounts,
  callTree,
  DebuggerPresentError,
  hottest,
  InvalidArgumentError,
  NoSuchProcessError,
  NotNodeError,
  profile,
  TargetEndedError,
  TargetSilentError,
} from '#lab';
import { end, lives, openImpostor, openShop, runAsNobody } from './processes.ts';

describe('attach', () => {
  test('a process that is gone, was never there, or whose id is none, is refused', async () => {
    const shop = await openShop('nothing');
    await end(shop.child);
    for (const pid of [shop.pid, 2 ** 22 + 5]) {
      expect((await outcome(attach(pid))).error, `pid ${pid}`).toBeInstanceOf(NoSuchProcessError);
    }
    await using other = await openShop('nothing');
    const thread = Number((await readdir(`/proc/${other.pid}/task`)).at(-1));
    expect((await outcome(attach(thread, { timeoutMs: 200 }))).error, 'a thread').toBeInstanceOf(NoSuchProcessError);
    expect(other.said(), 'nothing was sent').toBe('');
    for (const pid of [0, -1, 1.5, NaN, 2 ** 31, process.pid]) {
      expect((await outcome(attach(pid))).error, `pid ${pid}`).toBeInstanceOf(InvalidArgumentError);
    }
    expect((await outcome(attach(other.pid, { timeoutMs: 0 }))).error).toBeInstanceOf(InvalidArgumentError);
  });

  test("an inspector that was open already is somebody else's: attach leaves it open", async () => {
    await using shop = await openShop('nothing', ['--inspect=0']);
    const { error } = await outcome(attach(shop.pid, { timeoutMs: 200 }), 5000);
    expect(error).toBeInstanceOf(DebuggerPresentError);
    const port = /127\.0\.0\.1:\d+/.exec(shop.said())?.[0];
    expect((await fetch(`http://${port}/json/version`)).ok, 'it is open').toBe(true);
  });

  test('a process that has a listener of its own for SIGUSR1 keeps silent; to one that is stopped nothing is sent', async () => {
    await using own = await openShop('listening');
    await using stopped = await openShop('nothing');
    stopped.child.kill('SIGSTOP');
    for (const shop of [own, stopped]) {
      const { error } = await outcome(attach(shop.pid, { timeoutMs: 200 }), 5000);
      expect(error).toBeInstanceOf(TargetSilentError);
    }
    expect(lives(own)).toBe(true);
    const pending = /^ShdPnd:\s*(\w+)$/m.exec(await readFile(`/proc/${stopped.pid}/status`, 'utf8'))?.[1];
    expect(pending, 'signals that wait for the stopped one').toBe('0000000000000000');
    // Whoever aborts gets his reason, also when nobody has answered by then.
    const leaving = new AbortController();
    const attaching = outcome(attach(own.pid, { timeoutMs: 200, signal: leaving.signal }), 5000);
    leaving.abort('closing time');
    expect((await attaching).error).toBe('closing time');
  });

  test('ports that open meanwhile, keep silent or talk nonsense, delay nobody', async () => {
    await using shop = await openShop('opening');
    const attaching = outcome(attach(shop.pid), 6000);
    shop.child.send('open');
    const { value, error } = await attaching;
    expect(value?.pid, String(error)).toBe(shop.pid);
    await value?.detach();
  });

  test('a target without getBuiltinModule, as Node.js was before 20.16, is measured and left like any other', async () => {
    await using shop = await openShop('older');
    const attached = await attach(shop.pid);
    expect((await attached.loop({ ms: 30 })).utilization).toBeLessThan(1);
    expect((await outcome(attached.detach(), 3000)).error).toBeUndefined();
    const port = /127\.0\.0\.1:\d+/.exec(shop.said())?.[0];
    expect((await outcome(fetch(`http://${port}/json/version`))).error, 'who asks at its port').toBeDefined();
  });

  test.skipIf(process.getuid?.() !== 0)('a process of another user is refused as his', async () => {
    await using shop = await openShop('nothing');
    expect(await runAsNobody(shop.pid)).toBe('PermissionDeniedError');
    expect(shop.said(), 'nothing was sent').toBe('');
  });

  test('what only has a name like Node.js, and its own use for SIGUSR1, is not Node.js', async () => {
    await using cellar = openImpostor();
    await once(cellar.child.stdout ?? cellar.child, 'data');
    expect((await outcome(attach(cellar.pid, { timeoutMs: 200 }))).error).toBeInstanceOf(NotNodeError);
    expect(lives(cellar)).toBe(true);
  });

  test('the first process of the machine gets no signal from us', async () => {
    const { error } = await outcome(attach(1, { timeoutMs: 200 }));
    expect(error).toSatisfy(
      (it) => it instanceof NotNodeError || (it instanceof Error && it.name === 'PermissionDeniedError'),
    );
  });

  test('whoever aborts gets his reason, and the inspector is closed again', async () => {
    await using shop = await openShop('nothing');
    const reason = new Error('closing time');
    const before = new AbortController();
    before.abort(reason);
    expect((await outcome(attach(shop.pid, { signal: before.signal }))).error).toBe(reason);
    expect(shop.said(), 'nothing was sent').toBe('');
    const during = new AbortController();
    // It says that it listens before it answers at its port: whoever aborts then is in time.
    shop.child.stderr?.once('data', () => during.abort(reason));
    const attaching = outcome(attach(shop.pid, { signal: during.signal }), 5000);
    expect((await attaching).error).toBe(reason);
    const port = /127\.0\.0\.1:\d+/.exec(shop.said())?.[0];
    expect((await outcome(fetch(`http://${port}/json/version`))).error, 'who asks at its port').toBeDefined();
  });

  test('two that attach at once get one session each; who leaves first takes the inspector along, and the other is told', async () => {
    await using shop = await openShop('nothing');
    const [one, two] = await Promise.all([outcome(attach(shop.pid), 6000), outcome(attach(shop.pid), 6000)]);
    // The second may have come so late that it found the inspector open.
    const sessions = [one.value, two.value].filter((it) => it !== undefined);
    expect(sessions.length, `${one.error}, ${two.error}`).toBeGreaterThan(0);
    await sessions[0]?.detach();
    if (sessions[1]) expect((await outcome(sessions[1].record({ ms: 50 }))).error).toBeInstanceOf(TargetEndedError);
    await sessions[1]?.detach();
    expect(lives(shop)).toBe(true);
  });
});

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
    const measured: Record<string, { utilization: number; longestStallMs: number }> = {};
    for (const kind of ['stalling', 'nothing', 'looping']) {
      await using shop = await openShop(kind);
      await using attached = await attach(shop.pid);
      // On a busy machine a free loop may have to wait for a processor: that is taken for work.
      const fits = ({ utilization }: { utilization: number }) => kind !== 'nothing' || utilization < 0.4;
      measured[kind] = await until(async () => {
        const now = await attached.loop({ ms: kind === 'stalling' ? 450 : 100 });
        return fits(now) ? now : undefined;
      });
    }
    const { stalling, nothing, looping } = measured;
    expect(stalling?.longestStallMs, 'stalls of 150 ms').toBeGreaterThan(100);
    expect(stalling?.utilization, 'of a loop that is held up').toBeGreaterThan(0.4);
    expect(nothing?.utilization, 'of a free one').toBeLessThan(0.4);
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
    const closing = new AbortController();
    const reason = new Error('closing time');
    const recording = outcome(attached.record({ ms: 60_000, signal: closing.signal }));
    await until(() => getEventListeners(closing.signal, 'abort').length > 0, { what: 'the wait' });
    closing.abort(reason);
    expect((await recording).error).toBe(reason);
    expect(getEventListeners(closing.signal, 'abort')).toEqual([]);
    for (const ms of [0, NaN, 2 ** 31]) {
      expect((await outcome(attached.record({ ms }))).error, `ms ${ms}`).toBeInstanceOf(InvalidArgumentError);
    }
    expect((await outcome(attached.record({ ms: 1, intervalUs: 1 }))).error).toBeInstanceOf(InvalidArgumentError);
    // V8 ends the whole target for these.
    for (const intervalBytes of [0.5, 1e308, 0]) {
      const { error } = await outcome(attached.heap({ ms: 1, intervalBytes }));
      expect(error, `intervalBytes ${intervalBytes}`).toBeInstanceOf(InvalidArgumentError);
    }
    expect((await attached.record({ ms: 20 })).samples?.length, 'it goes on').toBeGreaterThan(0);
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

describe('in the process itself', () => {
  test('what throws or calls itself is counted once a call; what awaits, once more each time that it goes on', async () => {
    const fall = () => {
      throw new Error('its own');
    };
    const climb = (steps: number): number => (steps === 0 ? 0 : climb(steps - 1));
    const rest = async () => {
      await undefined;
      await undefined;
    };
    const { calls } = await callCounts(async () => {
      for (let turn = 0; turn < 5; turn++) {
        expect(fall).toThrow('its own');
        climb(2);
        await rest();
      }
    });
    const of = (name: string) => calls.filter((row) => row.name === name).map((row) => row.calls);
    expect({ fall: of('fall'), climb: of('climb'), rest: of('rest') }).toEqual({ fall: [5], climb: [15], rest: [15] });
  });

  test('what the function throws comes as it is, and nothing goes on; two at once are refused', async () => {
    const reason = new Error('its own');
    for (const measure of [profile, callCounts]) {
      const failed = await outcome<unknown>(measure(() => Promise.reject(reason)));
      expect(failed.error).toBe(reason);
    }
    const [one, two] = await Promise.all([
      outcome(profile(() => new Promise((resolve) => setImmediate(resolve, 7)))),
      outcome(profile(() => 8)),
    ]);
    expect([one.value?.value, two.error]).toEqual([7, expect.any(BusyError)]);
    const { profile: report } = await profile(() => 9, { intervalUs: 100 });
    expect(hottest(callTree(report))).toBeInstanceOf(Array);
    expect((await outcome(profile(() => 9, { intervalUs: NaN }))).error).toBeInstanceOf(InvalidArgumentError);
  });
});
