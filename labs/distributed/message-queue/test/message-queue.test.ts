import { until } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import {
  type Binding,
  BrokerLostError,
  backoff,
  Confirms,
  headersMatch,
  OffsetTracker,
  partitionOf,
  RefusedError,
  routes,
  Tenure,
  topicMatches,
  UnroutableMessageError,
} from '#lab';

/** How each of `promises` stands at this moment. */
async function standing(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const name = (error: unknown) => (error instanceof Error ? error.name : String(error));
  const open = new Promise((resolve) => setImmediate(resolve, 'open'));
  return Promise.all(promises.map((each) => Promise.race([each.then(() => 'confirmed', name), open]))) as Promise<
    string[]
  >;
}

describe('routing', () => {
  test('a topic pattern has * for one word and # for any number of words, none included', () => {
    const table: [string, string, boolean][] = [
      ['order.placed', 'order.placed', true],
      ['order.placed', 'order.paid', false],
      ['order.*', 'order.placed', true],
      ['order.*', 'order', false],
      ['order.*', 'order.placed.north', false],
      ['*.placed', 'order.placed', true],
      ['order.#', 'order', true],
      ['order.#', 'order.placed.north', true],
      ['#', 'order.placed', true],
      ['#', '', true],
      ['*', '', false],
      ['', '', true],
      ['#.placed', 'placed', true],
      ['#.placed', 'order.placed', true],
      ['#.placed', 'order.placed.north', false],
      ['order.#.north', 'order.north', true],
      ['order.#.north', 'order.a.b.north.c.north', true],
      ['order.*.#', 'order', false],
      ['order.*.#', 'order.placed', true],
      ['*.#.*', 'order', false],
      ['order.*', 'order.', true],
      ['o*', 'order', false],
      ['order.pl#', 'order.placed', false],
    ];
    for (const [pattern, key, matches] of table) {
      expect(topicMatches(pattern, key), `"${pattern}" takes "${key}"`).toBe(matches);
    }
  });

  test('a pattern of many # is matched as fast as any', () => {
    const key = Array.from({ length: 40 }, () => 'a').join('.');
    const start = performance.now();
    expect(topicMatches(`${'#.a.'.repeat(30)}b`, key)).toBe(false);
    expect(performance.now() - start, 'milliseconds').toBeLessThan(500);
  });

  test('headers match by all or by any, and by what the message itself has', () => {
    const fugu = { dish: 'fugu', spicy: true };
    expect(headersMatch({ dish: 'fugu', spicy: true }, fugu)).toBe(true);
    expect(headersMatch({ dish: 'fugu', spicy: false }, fugu)).toBe(false);
    expect(headersMatch({ 'x-match': 'any', dish: 'fugu', spicy: false }, fugu)).toBe(true);
    expect(headersMatch({ 'x-match': 'any', 'x-origin': 'here' }, { 'x-origin': 'here' })).toBe(false);
    expect(headersMatch({ 'x-origin': 'here' }, fugu)).toBe(true);
    expect(headersMatch({ dish: null }, fugu)).toBe(true);
    expect(headersMatch({ toString: null }, fugu)).toBe(false);
  });

  test('a queue that is bound twice gets a message once', () => {
    const twice: Binding[] = [
      { queue: 'kitchen', key: 'order.*' },
      { queue: 'kitchen', key: '#' },
      { queue: 'books', key: '#' },
    ];
    expect(routes('topic', twice, { key: 'order.placed' })).toEqual(['books', 'kitchen']);
    expect(routes('direct', twice, { key: '#' })).toEqual(['books', 'kitchen']);
    expect(routes('fanout', twice, { key: 'any' })).toEqual(['books', 'kitchen']);
  });

  test('partitions that are added send most keys elsewhere', () => {
    const keys = Array.from({ length: 1000 }, (_, n) => `order-${n}`);
    const moved = keys.filter((key) => partitionOf(key, 4) !== partitionOf(key, 5)).length;
    expect(moved).toBeGreaterThan(700);
    expect(keys.map((key) => partitionOf(key, 4)).every((at) => at >= 0 && at < 4)).toBe(true);
  });
});

describe('confirms', () => {
  test('a confirm settles the message that it names, or all up to it, in any order', async () => {
    const confirms = new Confirms();
    const sent = Array.from({ length: 5 }, () => confirms.next());
    expect(sent.map(({ tag }) => tag)).toEqual([1, 2, 3, 4, 5]);
    const now = () => standing(sent.map(({ settled }) => settled));
    confirms.ack(3, false);
    expect(await now(), 'message 3 confirmed alone').toEqual(['open', 'open', 'confirmed', 'open', 'open']);
    confirms.nack(4, true);
    const refused = RefusedError.name;
    expect(await now(), 'all up to 4 refused').toEqual([refused, refused, 'confirmed', refused, 'open']);
    expect(confirms.size).toBe(1);
  });

  test('a returned message fails when it is confirmed, and takes no other along', async () => {
    const confirms = new Confirms();
    const sent = Array.from({ length: 3 }, () => confirms.next().settled);
    confirms.returned(2, 'exchange "shop"');
    confirms.ack(3, true);
    expect(await standing(sent)).toEqual(['confirmed', UnroutableMessageError.name, 'confirmed']);
  });

  test('what was not confirmed when the channel ends fails, and a late or foreign confirm changes nothing', async () => {
    const confirms = new Confirms();
    const sent = [confirms.next().settled, confirms.next().settled];
    confirms.ack(1, false);
    confirms.ack(7, false);
    confirms.fail(new BrokerLostError('gone'));
    confirms.ack(2, true);
    expect(await standing(sent)).toEqual(['confirmed', BrokerLostError.name]);
    expect(confirms.size).toBe(0);
  });
});

describe('pauses', () => {
  test('who tries again waits twice as long each time, up to five seconds, half of it at random', () => {
    const most = [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000];
    for (const [n, ms] of most.entries()) {
      const pauses = Array.from({ length: 500 }, () => backoff(n + 1));
      expect(Math.min(...pauses), `the shortest before try ${n + 1}`).toBeGreaterThanOrEqual(ms / 2);
      expect(Math.min(...pauses)).toBeLessThan(0.6 * ms);
      expect(Math.max(...pauses), `the longest before try ${n + 1}`).toBeLessThanOrEqual(ms);
      expect(Math.max(...pauses)).toBeGreaterThan(0.9 * ms);
    }
  });
});

describe('a tenure', () => {
  type Incoming = Parameters<Tenure['accept']>[0];
  const recordOf = (offset: bigint, key: string): Incoming => ({
    ...{ topic: 'orders', partition: 0, leaderEpoch: 1, timestamp: 0n, metadata: {} },
    ...{ offset, key: Buffer.from(key), value: Buffer.from(`${offset}`), headers: new Map(), headerEntries: [] },
    commit: () => {},
    toJSON: () => {
      throw new Error('nobody asks');
    },
  });
  /** Handlers and commits end when the law says so. */
  const hired = () => {
    const begun: bigint[] = [];
    const ends: (() => void)[] = [];
    const commits: { offset: bigint; end: () => void }[] = [];
    const handler = ({ offset }: { readonly offset: bigint }) => {
      begun.push(offset);
      return new Promise<void>((resolve) => ends.push(resolve));
    };
    const tenure = new Tenure(
      {
        ...{ group: 'kitchen', topic: 'orders', concurrency: 10, retryDelaysMs: [], sessionMs: 1000, handler },
        connection: { bootstrapBrokers: [], clientId: 'law', timeout: 1000 },
        onError: () => {},
        bury: async () => {},
      },
      ([commit]) => new Promise((resolve) => commits.push({ offset: commit?.offset ?? -1n, end: resolve })),
    );
    return { tenure, begun, ends, commits };
  };
  const turns = () => new Promise((resolve) => setImmediate(resolve));

  test('it commits what is done, one commit after the other, and is idle when the last is through', async () => {
    const { tenure, ends, commits } = hired();
    for (const offset of [0n, 1n, 2n]) await tenure.accept(recordOf(offset, `${offset}`));
    await until(() => ends.length === 3);
    let isIdle = false;
    const idle = tenure.idle().then(() => (isIdle = true));
    for (const end of ends) {
      end();
      await turns();
    }
    expect(
      commits.map(({ offset }) => offset),
      'while the first is on its way',
    ).toEqual([1n]);
    commits[0]?.end();
    await until(() => commits.length > 1, { what: 'the commit of what was done meanwhile' });
    await turns();
    expect(isIdle, 'idle while a commit is on its way').toBe(false);
    commits[1]?.end();
    await idle;
    expect(commits.map(({ offset }) => offset)).toEqual([1n, 3n]);
  });

  test('it commits nothing once it is over, and drains no longer than it may', async () => {
    const { tenure, ends, commits } = hired();
    for (const offset of [0n, 1n]) await tenure.accept(recordOf(offset, `${offset}`));
    await until(() => ends.length === 2);
    const from = performance.now();
    await tenure.drain(30);
    expect(performance.now() - from, 'milliseconds of a drain that has 30').toBeGreaterThan(28);
    ends[0]?.();
    await until(() => commits.length === 1);
    tenure.end(new Error('shared out anew'));
    ends[1]?.();
    commits[0]?.end();
    await tenure.idle();
    expect(commits.map(({ offset }) => offset)).toEqual([1n]);
  });

  test('records of one key wait for the one before, however many came meanwhile', async () => {
    const { tenure, begun, ends } = hired();
    for (const offset of [0n, 1n]) await tenure.accept(recordOf(offset, 'one'));
    await until(() => begun.length === 1);
    ends[0]?.();
    await until(() => begun.length === 2, { what: 'the second record' });
    await tenure.accept(recordOf(2n, 'one'));
    await turns();
    expect(begun, 'begun while the second is at work').toEqual([0n, 1n]);
    ends[1]?.();
    await until(() => begun.length === 3);
    ends[2]?.();
  });
});

describe('offsets', () => {
  test('what is committed never passes a record that is still at work', () => {
    const tracker = new OffsetTracker();
    for (const offset of [10n, 11n, 12n, 13n]) tracker.take(offset);
    expect(tracker.done(12n), '12 done before 10').toBeUndefined();
    expect(tracker.done(10n), '10 done: read on at 11').toBe(11n);
    expect(tracker.done(11n), '11 done, 12 was: read on at 13').toBe(13n);
    expect(tracker.done(13n)).toBe(14n);
    expect(tracker.unfinished).toBe(0);
  });

  test('offsets that compaction has left out are not waited for', () => {
    const tracker = new OffsetTracker();
    for (const offset of [3n, 9n, 40n]) tracker.take(offset);
    expect(tracker.done(9n)).toBeUndefined();
    expect(tracker.done(3n)).toBe(10n);
    expect(tracker.done(3n), 'told before').toBeUndefined();
    expect(tracker.done(40n)).toBe(41n);
  });

  test('a slow record with many behind it costs no time', () => {
    const tracker = new OffsetTracker();
    const offsets = Array.from({ length: 60_000 }, (_, n) => BigInt(n));
    const start = performance.now();
    for (const offset of offsets) tracker.take(offset);
    for (const offset of offsets.slice(1)) tracker.done(offset);
    expect(tracker.done(0n)).toBe(60_000n);
    expect(performance.now() - start, 'milliseconds').toBeLessThan(1000);
  });
});
