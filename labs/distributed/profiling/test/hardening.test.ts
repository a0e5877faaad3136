import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { outcome } from '@shared/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
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
    for (const pid of [shop.pid, 2 ** 22 + 5, 2 ** 31 - 1]) {
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
    let visitors = 0;
    const elsewhere = createServer(() => visitors++).listen(0, '127.0.0.1');
    onTestFinished(() => void elsewhere.close());
    await once(elsewhere, 'listening');
    const address = elsewhere.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await using own = await openShop('listening', undefined, [`${port}`]);
    // Its own port is open by then.
    await own.used();
    await using stopped = await openShop('nothing');
    stopped.child.kill('SIGSTOP');
    for (const shop of [own, stopped]) {
      const { error } = await outcome(attach(shop.pid, { timeoutMs: 200 }), 5000);
      expect(error).toBeInstanceOf(TargetSilentError);
    }
    expect(lives(own)).toBe(true);
    expect(visitors, 'visitors of the address that is named by its port').toBe(0);
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
    expect((await profile(() => 9, { intervalUs: 1_000_000 })).value).toBe(9);
    expect((await outcome(profile(() => 9, { intervalUs: NaN }))).error).toBeInstanceOf(InvalidArgumentError);
  });
});
