import { startKafka, startRabbit } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { Log, Rabbit } from '#lab';

// Servers of their own: one that was killed is not lent again.
const SLOW = { timeout: 60_000 };

await describeWith('rabbitmq, killed', { rabbit: () => startRabbit() }, ({ rabbit }) => {
  test('rabbit: a broker that is killed and comes back has all that it confirmed', SLOW, async ({ skip }) => {
    if (!rabbit.faults) return skip('a broker that is not ours is not ours to kill');
    const topology = { queues: [{ name: 'kitchen', retryDelaysMs: [] }] };
    const client = await Rabbit.open(await rabbit.vhost(), { topology, graceMs: 0 });
    onTestFinished(() => client.close());
    const declared = performance.now();
    const confirmed = new Set<string>();
    const leave = new AbortController();
    let sent = 0;
    const sender = async () => {
      for (; !leave.signal.aborted; await new Promise(setImmediate)) {
        const id = `order-${++sent}`;
        await client.send({ exchange: '', key: 'kitchen', body: id, id }, { signal: leave.signal });
        confirmed.add(id);
      }
    };
    const senders = Array.from({ length: 8 }, () => outcome(sender(), 60_000));
    // RabbitMQ 3.10 writes down where a new quorum queue is within a second: killed before, the queue never answers again.
    await until(() => confirmed.size > 200 && performance.now() - declared > 2000);
    await rabbit.node.kill();
    const before = confirmed.size;
    await rabbit.node.restart();
    await until(() => confirmed.size > before + 200, { timeoutMs: 20_000, what: 'the senders go on by themselves' });
    leave.abort();
    await Promise.all(senders);
    const got = new Set<string>();
    await client.consume('kitchen', ({ id }) => void got.add(id), { prefetch: 200 });
    await until(() => [...confirmed].every((id) => got.has(id)), {
      what: `each of ${confirmed.size} confirmed orders`,
    });
    expect(got.size).toBeGreaterThanOrEqual(confirmed.size);
  });
});

await describeWith('kafka, killed', { kafka: () => startKafka({ brokers: 3 }) }, ({ kafka }) => {
  test('kafka: when the leader is killed others take over, and have all that was confirmed', SLOW, async ({ skip }) => {
    if (!kafka.faults) return skip('brokers that are not ours are not ours to kill');
    const log = new Log({ bootstrap: kafka.bootstrap, answerMs: 2000, graceMs: 0 });
    onTestFinished(() => log.close());
    const topic = `${kafka.namespace}orders`;
    await log.create({ name: topic, partitions: 3 });
    const confirmed = new Set<string>();
    const got = new Set<string>();
    log.consume({ group: topic, topic, sessionMs: 2000 }, ({ value }) => void got.add(`${value}`));
    let sent = 0;
    let over = false;
    const sender = async () => {
      while (!over) {
        const values = Array.from({ length: 5 }, () => `order-${++sent}`);
        await log.produce(
          topic,
          values.map((value) => ({ key: value, value })),
        );
        for (const value of values) confirmed.add(value);
      }
    };
    const senders = Array.from({ length: 4 }, sender);
    await until(() => confirmed.size > 200 && got.size > 0, { timeoutMs: 20_000 });
    await kafka.brokers[0].kill();
    const before = confirmed.size;
    await until(() => confirmed.size > before + 200, { timeoutMs: 25_000, what: 'the senders go on by themselves' });
    over = true;
    await Promise.all(senders);
    const all = () => [...confirmed].every((value) => got.has(value));
    await until(all, { timeoutMs: 20_000, what: `each of ${confirmed.size} confirmed orders` });
  });
});
