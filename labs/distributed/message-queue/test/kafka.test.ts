import { randomUUID } from 'node:crypto';
import { Admin, Producer } from '@platformatic/kafka';
import { startKafka } from '@shared/services';
import { describeWith, outcome, until as probe, type UntilOptions } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  BadArgumentError,
  type ConsumeOptions,
  GroupMember,
  Log,
  type LogOptions,
  type LogRecord,
  LogRequestError,
  NotWrittenError,
  PermanentError,
  partitionOf,
  QueueClosedError,
  type RecordHandler,
} from '#lab';

/** Longer than what it waits for in one law, so that a law that fails says what it waited for. */
vi.setConfig({ testTimeout: 15_000 });
const until = <T>(condition: () => T | Promise<T>, options: UntilOptions = {}) =>
  probe(condition, { timeoutMs: 2500, ...options });

/** The first group of a broker waits until it has made the topic for offsets: here, whichever law comes first. */
async function start() {
  const kafka = await startKafka();
  const admin = new Admin({ clientId: 'first', bootstrapBrokers: [...kafka.bootstrap] });
  const first = { groups: [`${kafka.namespace}first`] };
  const known = () => admin.listConsumerGroupOffsets(first).then(Boolean, () => false);
  await probe(known, { timeoutMs: 20_000, what: 'a coordinator of groups' }).finally(() => admin.close());
  return kafka;
}

await describeWith('kafka', { kafka: start }, ({ kafka }) => {
  const open = (options: Partial<LogOptions> = {}) => {
    const log = new Log({ bootstrap: kafka.bootstrap, graceMs: 1000, ...options });
    onTestFinished(() => log.close());
    return log;
  };
  /** A topic and a group of its own. */
  const shop = async (partitions = 4, options: { compacted?: boolean } = {}) => {
    const name = `${kafka.namespace}${randomUUID()}`;
    const log = open();
    await log.create({ name, partitions, ...options });
    const place = (...values: string[]) => log.produce(name, values.map(orderOf));
    const listen = (handler: RecordHandler, more: Partial<ConsumeOptions> & { on?: Log } = {}) => {
      const { on = log, ...rest } = more;
      return on.consume({ group: name, topic: name, sessionMs: 1000, retryDelaysMs: [5, 10], ...rest }, handler);
    };
    const lag = async () => [...(await log.lag(name, name)).values()].reduce((sum, each) => sum + each, 0n);
    return { name, log, place, listen, lag };
  };
  /** "7:paid" is of order 7. */
  const orderOf = (value: string) => ({ key: value.split(':')[0] ?? '', value });
  const textOf = ({ value }: LogRecord) => `${value}`;
  /** Notes something, and never ends. */
  const hang = (_noted: unknown) => new Promise<void>(() => {});
  const steps = (order: string, count: number) => Array.from({ length: count }, (_, n) => `${order}:${n}`);
  const orders = ['1', '2', '3', '4', '5', '6', '7', '8'];

  test('kafka: the records of a key are in one partition, and are handled in order', async () => {
    const { place, listen } = await shop(3);
    for (let n = 0; n < 5; n++) await place(...orders.map((order) => `${order}:${n}`));
    const got: LogRecord[] = [];
    let [atWork, most] = [0, 0];
    const handler = async (record: LogRecord) => {
      most = Math.max(most, ++atWork);
      // The first of each story takes longest.
      await new Promise((resolve) => setTimeout(resolve, textOf(record).endsWith(':0') ? 20 : 1));
      got.push(record);
      atWork--;
    };
    listen(handler, { concurrency: 4 });
    await until(() => got.length === 40, { what: '40 records' });
    expect(most, 'at work at once').toBeLessThanOrEqual(4);
    for (const order of orders) {
      const own = got.filter(({ key }) => key === order);
      const partitions = [...new Set(own.map(({ partition }) => partition))];
      expect(partitions, `partitions of order ${order}`).toEqual([partitionOf(order, 3)]);
      expect(own.map(textOf), `the story of order ${order}`).toEqual(steps(order, 5));
    }
  });

  test('kafka: what a member had in hand when it died comes to the next one', async () => {
    const { place, listen, lag } = await shop(1);
    const first = open({ graceMs: 0 });
    const inHand: string[] = [];
    listen((record) => hang(inHand.push(textOf(record))), { on: first });
    await place('1:placed', '2:placed');
    await until(() => inHand.length === 2);
    await first.close();
    expect(await lag(), 'not committed').toBe(2n);
    const got: string[] = [];
    listen((record) => void got.push(textOf(record)));
    await until(() => got.length === 2, { timeoutMs: 3000, what: 'both records at the second member' });
    expect(got.sort()).toEqual(['1:placed', '2:placed']);
    await until(async () => (await lag()) === 0n, { what: 'all committed' });
  });

  test('kafka: a slow record holds up the commit of its partition, and nobody’s work', async () => {
    const { place, listen, lag } = await shop(1);
    const gate = Promise.withResolvers<void>();
    const done: string[] = [];
    listen(async (record) => {
      if (record.key === '1') await gate.promise;
      done.push(textOf(record));
    });
    await place('1:placed', ...steps('2', 9));
    await until(() => done.length === 9, { what: 'the nine records of another order' });
    expect(await lag(), 'lag while the first is at work').toBe(10n);
    gate.resolve();
    await until(async () => (await lag()) === 0n);
  });

  test('kafka: a record that fails holds up its key alone, and ends in the dead topic with its reason', async () => {
    const { name, log, place, listen, lag } = await shop(1);
    const got: string[] = [];
    const attempts: number[] = [];
    const handler: RecordHandler = (record) => {
      if (textOf(record) === '1:fugu') {
        attempts.push(performance.now());
        record.value?.fill(0);
        throw new Error('no licence');
      }
      if (textOf(record) === '2:unicorn') throw new PermanentError('no such dish');
      got.push(textOf(record));
    };
    listen(handler, { retryDelaysMs: [5, 80] });
    await place('1:fugu', '1:rice');
    await log.produce(name, [
      { key: '2', value: '2:unicorn', headers: { dish: '鱼', 'x-reason': 'of somebody else' } },
    ]);
    await place('3:rice');
    await until(async () => (await lag()) === 0n, { what: 'all committed' });
    const [, second = 0, third = 0] = attempts;
    expect([attempts.length, third - second > 70], 'attempts, and whether the last has waited').toEqual([3, true]);
    expect(got).toEqual(['3:rice', '1:rice']);
    const dead: [string, object][] = [];
    const group = `${name}-undertaker`;
    log.consume(
      { group, topic: `${name}.dead` },
      (record) => void dead.push([textOf(record), Object.fromEntries(record.headers)]),
    );
    await until(() => dead.length === 2, { what: 'two dead letters' });
    expect(dead.sort()).toEqual([
      ['1:fugu', { 'x-reason': 'no licence' }],
      ['2:unicorn', { dish: '鱼', 'x-reason': 'no such dish' }],
    ]);
    expect((await log.lag(group, `${name}.dead`)).size, 'partitions of the dead topic').toBe(1);
  });

  test('kafka: whatever key and size it has, a record that fails is kept as it came, and holds up nobody', async () => {
    const { name, log, place, listen, lag } = await shop(1);
    const till = new Producer({ clientId: 'till', bootstrapBrokers: [...kafka.bootstrap], retryDelay: 50 });
    onTestFinished(() => till.close(true));
    const keys = [undefined, '', 'k'.repeat(300), 'a\0b', 'full'].map((key) =>
      key === undefined ? key : Buffer.from(key),
    );
    keys.push(Buffer.from([0xff]));
    // As much as the topic takes: with its reason it is more.
    const full = Buffer.alloc(1_048_588 - 61 - 20);
    const bad = keys.map((key) => ({
      topic: name,
      ...(key && { key }),
      value: `${key}` === 'full' ? full : Buffer.from('bad'),
    }));
    for (const each of bad) await till.send({ messages: [each] });
    await place('9:placed');
    const got: string[] = [];
    listen((record) => {
      if (record.key === '9') return got.push(textOf(record));
      throw record.key === '' ? Object.create(null) : new PermanentError('no');
    });
    await until(async () => (await lag()) === 0n, { what: 'all committed' });
    expect(got).toEqual(['9:placed']);
    const dead: string[] = [];
    log.consume({ group: `${name}-undertaker`, topic: `${name}.dead`, concurrency: 1 }, (record) => {
      dead.push(`${record.key} ${record.value?.length}`);
    });
    await until(() => dead.length === bad.length, { what: 'all dead letters' });
    expect(dead.sort()).toEqual(bad.map(({ key, value }) => `${key ?? ''} ${value.length}`).sort());
  });

  test('kafka: a record that fails is not done before its copy is kept', async () => {
    const { name, place, lag, listen } = await shop(1);
    const admin = new Admin({ clientId: 'vandal', bootstrapBrokers: [...kafka.bootstrap] });
    onTestFinished(() => admin.close());
    await admin.deleteTopics({ topics: [`${name}.dead`] });
    const errors: unknown[] = [];
    let tries = 0;
    const handler = () => {
      tries++;
      throw new PermanentError('no');
    };
    listen(handler, { on: open({ deliveryMs: 0, onError: (error) => errors.push(error) }) });
    await place('1:fugu');
    await until(() => tries > 1 && errors.length > 0, { timeoutMs: 9000, what: 'the record again' });
    expect(errors[0]).toBeInstanceOf(NotWrittenError);
    expect(await lag(), 'not committed').toBe(1n);
  });

  test('kafka: a record that the broker refuses takes along no other that is on its way', async () => {
    const { name, log, lag } = await shop(2);
    const some = () => orders.map((order) => log.produce(name, [orderOf(`${order}:placed`)]));
    const before = some();
    const refused = outcome(log.produce(name, [{ key: '1', value: Buffer.alloc(3e6) }]));
    await Promise.all([...before, ...some()]);
    expect((await refused).error).toBeInstanceOf(NotWrittenError);
    await Promise.all(some());
    await log.produce(name, []);
    expect(await lag(), 'records of which each was sent once').toBe(24n);
  });

  test('kafka: each partition has one member of a group, and a member too many is idle', async () => {
    const { place, listen } = await shop(2);
    const got = [new Set<number>(), new Set<number>(), new Set<number>()];
    const logs = got.map(() => open());
    for (const [n, on] of logs.entries()) listen(({ partition }) => void got[n]?.add(partition), { on });
    const sharedOut = async () => {
      for (const each of got) each.clear();
      await place(...orders.map((order) => `${order}:placed`));
      await until(() => got.reduce((sum, { size }) => sum + size, 0) === 2);
      const sizes = got.map(({ size }) => size).sort();
      return sizes.join() === '0,1,1';
    };
    // Whoever joins has the partitions shared out anew, which nobody is told of.
    await until(sharedOut, { timeoutMs: 10_000, what: 'a partition each for two of three members' });
  });

  test('kafka: who loses his partition is told, and what he does then is not committed', async () => {
    const { place, listen, lag } = await shop(2);
    const [first, second] = [open({ graceMs: 0 }), open()];
    const told: AbortSignal[] = [];
    const release = Promise.withResolvers<void>();
    const handler = (_: LogRecord, signal: AbortSignal) => {
      // Only what was at work at the sharing out is ever done: whatever is committed is that.
      const again = new Promise((resolve) => signal.addEventListener('abort', resolve));
      return told.push(signal) <= 2 ? release.promise : again;
    };
    listen(handler, { on: first, sessionMs: 3000 });
    const apart = [0, 1].map((at) => `${orders.find((order) => partitionOf(order, 2) === at)}:placed`);
    await place(...apart);
    await until(() => told.length === 2);
    const got: string[] = [];
    listen((record) => hang(got.push(textOf(record))), { on: second, sessionMs: 3000, concurrency: 1 });
    // Nobody gets a record of theirs before they are told that it is no longer theirs.
    await until(() => (told[0]?.aborted && told[1]?.aborted) || got.length > 0, {
      timeoutMs: 3000,
      what: 'both handlers told of the new member',
    });
    expect([told[0]?.aborted, told[1]?.aborted], 'who is told of the new member').toEqual([true, true]);
    release.resolve();
    await until(() => told.length + got.length >= 4, {
      timeoutMs: 9000,
      what: 'both records again, at their new owners',
    });
    expect(await lag(), 'records that nobody has done for the group').toBe(2n);
  });

  test('kafka: a log is read again from the start, and by a new group from its own start', async () => {
    const { name, log, place, listen, lag } = await shop();
    await place(...orders.map((order) => `${order}:placed`));
    const read = async (group: string) => {
      const got: string[] = [];
      const handler = async (record: LogRecord) => {
        got.push(textOf(record));
        await new Promise((resolve) => setTimeout(resolve, 50));
      };
      const member = listen(handler, { group });
      await until(() => got.length >= 8, { what: `8 records for ${group}` });
      await member.stop();
      const behind = [...(await log.lag(group, name)).values()];
      expect(
        behind.every((each) => each === 0n),
        `behind once a member of ${group} has stopped: ${behind}`,
      ).toBe(true);
      return got;
    };
    expect(await read(name)).toHaveLength(8);
    expect(await read(`${name}-reports`)).toHaveLength(8);
    await log.seek(name, name, 'earliest');
    expect(await lag()).toBe(8n);
    let begun = 0;
    const pause = () => new Promise((resolve) => setTimeout(resolve, 50, begun++));
    const busy = open();
    listen(pause, { on: busy });
    await until(() => begun === 8);
    const early = await outcome(open({ answerMs: 200 }).seek(name, name, 'latest'), 5000);
    expect(early.error, 'while it has members').toBeInstanceOf(LogRequestError);
    await place('9:placed');
    await until(() => begun === 9);
    await busy.close();
    expect(await lag(), 'once its client is closed').toBe(0n);
    await log.seek(name, name, 'earliest');
    expect(await read(name)).toHaveLength(9);
    await log.seek(name, name, [{ partition: partitionOf('1', 4), offset: 0n }]);
    expect(await lag()).toBeGreaterThan(0n);
    await log.seek(name, name, 'latest');
    expect(await lag()).toBe(0n);
  });

  test('kafka: a record whose answer was lost is sent again, and is in the log once', async () => {
    const { name, log, lag } = await shop(1);
    await using link = await kafka.brokers[0].proxy();
    const behind = open({ bootstrap: [new URL(link.url).host], answerMs: 1000 });
    await behind.produce(name, [orderOf('1:placed')]);
    link.partition('down');
    const sending = behind.produce(name, [orderOf('1:paid')]);
    await until(async () => (await lag()) === 2n, { what: 'the record in the log, its answer lost' });
    link.reset();
    link.heal();
    await sending;
    await log.produce(name, [orderOf('1:cooked')]);
    expect(await lag(), 'records of which each was sent once').toBe(3n);
    const hasty = open({ bootstrap: [new URL(link.url).host], answerMs: 200, deliveryMs: 0 });
    await hasty.produce(name, [orderOf('2:placed')]);
    link.partition('up');
    expect((await outcome(hasty.produce(name, [orderOf('2:paid')]), 3000)).error).toBeInstanceOf(NotWrittenError);
    link.reset();
    link.heal();
    await hasty.produce(name, [orderOf('2:cooked')]);
    expect(await lag(), 'and those of another, of which one was given up on its way').toBe(5n);
  });

  test('kafka: what a transaction takes back is never handled, and its mark holds up nothing', async () => {
    const { name, place, listen, lag } = await shop(1);
    const producer = new Producer({
      clientId: 'till',
      bootstrapBrokers: [...kafka.bootstrap],
      transactionalId: name,
      idempotent: true,
      retryDelay: 50,
    });
    onTestFinished(() => producer.close(true));
    const got: string[] = [];
    listen((record) => void got.push(textOf(record)));
    for (const [value, end] of [
      ['1:void', 'abort'],
      ['1:paid', 'commit'],
    ] as const) {
      const transaction = await producer.beginTransaction();
      await transaction.send({ messages: [{ topic: name, key: Buffer.from('1'), value: Buffer.from(value) }] });
      await transaction[end]();
    }
    // Who ends a transaction is answered before its mark is in the log, and it counts as a record that nobody has done.
    await until(() => got.length > 0, { what: 'the record of the second transaction' });
    await place('1:cooked');
    await until(async () => (await lag()) === 0n, { what: 'nothing behind' });
    expect(got).toEqual(['1:paid', '1:cooked']);
  });

  test('kafka: a record without a value comes as null, in a topic that keeps the last of each key', async () => {
    const { name, log, listen } = await shop(1, { compacted: true });
    await log.create({ name: `${name}-whole`, partitions: 1 });
    const admin = new Admin({ clientId: 'look', bootstrapBrokers: [...kafka.bootstrap] });
    onTestFinished(() => admin.close());
    const described = await admin.describeConfigs({
      resources: [name, `${name}-whole`].map((resourceName) => ({
        ...{ resourceType: 2, resourceName, configurationKeys: ['cleanup.policy'] },
      })),
    });
    expect(described.map(({ configs: [config] }) => config?.value)).toEqual(['compact', 'delete']);
    await log.produce(name, [
      { key: '1', value: 'placed', headers: { dish: '鱼' } },
      { key: '1', value: null },
    ]);
    const got: LogRecord[] = [];
    listen((record) => void got.push(record));
    await until(() => got.length === 2);
    expect(got.map(({ value }) => value && `${value}`)).toEqual(['placed', null]);
    expect(got[0]?.headers.get('dish')).toBe('鱼');
  });

  test('kafka: a consumer whose connection breaks comes back, and misses nothing', async () => {
    const { place, listen } = await shop(2);
    await using link = await kafka.brokers[0].proxy();
    let errors = 0;
    const behind = open({ bootstrap: [new URL(link.url).host], answerMs: 500, onError: () => errors++ });
    const got = new Set<string>();
    listen((record) => void got.add(textOf(record)), { on: behind });
    for (let n = 0; n < 3; n++) {
      const sent = orders.map((order) => `${order}:${n}`);
      await place(...sent);
      await until(() => sent.every((each) => got.has(each)), { what: `round ${n}` });
      link.reset();
    }
    link.partition();
    await place('9:placed');
    link.heal();
    await until(() => got.has('9:placed'));
    expect(errors, 'what made it begin anew').toBeGreaterThan(0);
  });

  test('kafka: options are taken up to their bounds and refused beyond; what is left out has a default', async () => {
    const most = 2 ** 31 - 1;
    class Still extends GroupMember {
      override start(): void {}
    }
    const given: ConstructorParameters<typeof GroupMember>[0][] = [];
    class Look extends Log {
      protected override member(options: ConstructorParameters<typeof GroupMember>[0]): GroupMember {
        given.push(options);
        return new Still(options);
      }
    }
    const made = (options: Partial<LogOptions> = {}) => {
      const log = new Look({ bootstrap: ['127.0.0.1:1'], ...options });
      onTestFinished(() => log.close());
      return log;
    };
    const log = made();
    const consume = (options: Partial<ConsumeOptions>) =>
      log.consume({ group: 'cooks', topic: 'orders', ...options }, () => {});
    const bounds: [string, (value: number) => unknown, good: number[], bad: number[]][] = [
      ['answerMs', (answerMs) => made({ answerMs }), [1, most], [0, most + 1]],
      ['deliveryMs', (deliveryMs) => made({ deliveryMs }), [0, most], [-1, most + 1]],
      ['graceMs', (graceMs) => made({ graceMs }), [0, most], [-1, most + 1]],
      ['concurrency', (concurrency) => consume({ concurrency }), [1, 10_000], [0, 1.5, 10_001]],
      ['sessionMs', (sessionMs) => consume({ sessionMs }), [30, most], [29, most + 1]],
      ['a retry delay', (ms) => consume({ retryDelaysMs: [1, ms] }), [0, most], [-1, most + 1]],
    ];
    for (const [what, call, good, bad] of bounds) {
      for (const value of good) expect(() => call(value), `${what} ${value}`).not.toThrow();
      for (const value of bad) expect(() => call(value), `${what} ${value}`).toThrow(BadArgumentError);
    }
    consume({});
    expect(given.at(-1)).toMatchObject({
      ...{ concurrency: 16, retryDelaysMs: [100, 1000, 10_000], sessionMs: 10_000 },
      connection: { timeout: 5000 },
    });
    for (const partitions of [0, 100_001]) {
      const { error } = await outcome(log.create({ name: 'orders', partitions }));
      expect(error, `${partitions} partitions`).toBeInstanceOf(BadArgumentError);
    }
    for (const partition of [-1, most + 1]) {
      const { error } = await outcome(log.seek('cooks', 'orders', [{ partition, offset: 0n }]));
      expect(error, `partition ${partition}`).toBeInstanceOf(BadArgumentError);
    }
  });

  test('kafka: what no log can keep or find is refused, and who is closed says so', async () => {
    const { name, log } = await shop(1);
    expect(() => new Log({ bootstrap: [] })).toThrow(BadArgumentError);
    const refused = ({ error }: { error?: unknown }, what = '') => expect(error, what).toBeInstanceOf(BadArgumentError);
    for (const key of ['', '\ud83d', '单'.repeat(86)]) {
      refused(await outcome(log.produce(name, [{ key, value: 'a' }])), `key ${JSON.stringify(key)}`);
    }
    // @ts-expect-error: untyped code can hand in anything
    for (const value of [7, undefined, '\ud83d']) refused(await outcome(log.produce(name, [{ key: 'a', value }])));
    // @ts-expect-error: the same of headers
    refused(await outcome(log.produce(name, [{ key: 'a', value: '', headers: { n: 1 } }])));
    // @ts-expect-error: a place that is none
    refused(await outcome(log.seek(name, name, 'middle')));
    refused(await outcome(log.seek(name, name, [{ partition: 0, offset: -1n }])));
    // @ts-expect-error: an offset that is none
    refused(await outcome(log.seek(name, name, [{ partition: 0, offset: 1 }])));
    await log.seek(name, name, [{ partition: 0, offset: 50n }]);
    expect(await log.lag(name, name), 'behind a bookmark beyond the end').toEqual(new Map([[0, 0n]]));
    expect(() => log.consume({ group: name, topic: name, concurrency: 0 }, () => {})).toThrow(BadArgumentError);
    expect((await outcome(log.lag(name, `${name}-none`), 5000)).error).toBeInstanceOf(LogRequestError);
    await log.create({ name, partitions: 1 });
    const unnameable = await outcome(log.create({ name: 'a topic?', partitions: 1 }));
    expect(unnameable.error).toBeInstanceOf(LogRequestError);
    const alone = new Log({ bootstrap: ['127.0.0.1:1'], answerMs: 50, deliveryMs: 100 });
    expect((await outcome(alone.produce(name, [{ key: 'a', value: 'a' }]), 5000)).error).toBeInstanceOf(
      NotWrittenError,
    );
    await alone.close();
    await log.close();
    expect((await outcome(log.produce(name, [{ key: 'a', value: 'a' }]))).error).toBeInstanceOf(QueueClosedError);
  });
});
