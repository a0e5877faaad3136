import { ProduceAcks, Producer } from '@platformatic/kafka';
import { startKafka, startRabbit } from '@shared/services';
import { tell } from '@shared/story';
import { connect } from 'amqplib';
import { Log, Rabbit } from './src/index.ts';

const ROUNDS = 5;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

await tell({ title: 'Message queue, measured 消息队列', dir: import.meta.dirname }, async (story) => {
  const starting = startRabbit();
  const kafka = await story.use(startKafka());
  const rabbit = await story.use(starting);
  const url = await rabbit.vhost();

  await story.scene('Confirmed orders a second', async () => {
    const name = 'kitchen';
    const client = await Rabbit.open(url, { topology: { queues: [{ name, retryDelaysMs: [] }] } });
    const bare = await connect(url);
    const channel = await bare.createConfirmChannel();
    const log = new Log({ bootstrap: kafka.bootstrap });
    const topic = `${kafka.namespace}orders`;
    await log.create({ name: topic, partitions: 4 });
    const producer = new Producer({ clientId: 'bare', bootstrapBrokers: [...kafka.bootstrap] });
    const body = Buffer.alloc(200, 'x');
    const record = (n: number) => ({ topic, key: Buffer.from(`${n}`), value: body });
    type Send = (n: number) => Promise<unknown>;
    const senders: Record<string, Send> = {
      'RabbitMQ, this lab': (n) => client.send({ exchange: '', key: name, body, id: `${n}` }),
      'RabbitMQ, bare amqplib': () =>
        new Promise((resolve, reject) => {
          const confirmed = (error: unknown) => (error ? reject(error) : resolve(undefined));
          channel.sendToQueue(name, body, { persistent: true }, confirmed);
        }),
      'Kafka, this lab': (n) => log.produce(topic, [{ key: `${n}`, value: body }]),
      'Kafka, bare client': (n) => producer.send({ messages: [record(n)], acks: ProduceAcks.ALL, idempotent: true }),
    };
    const figures = new Map<string, { single: number[]; together: number[] }>();
    const timed = async (count: number, work: () => Promise<unknown>) => {
      const start = performance.now();
      await work();
      return (count * 1000) / (performance.now() - start);
    };
    const progress = story.progress('rounds', ROUNDS + 1);
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [who, send] of Object.entries(senders)) {
        const figure = figures.get(who) ?? { single: [], together: [] };
        figures.set(who, figure);
        const single = await timed(100, async () => {
          for (let n = 0; n < 100; n++) await send(n);
        });
        const together = await timed(1000, () => Promise.all(Array.from({ length: 1000 }, (_, n) => send(n))));
        // The first round warms up.
        if (round > 0) {
          figure.single.push(single);
          figure.together.push(together);
        }
      }
      progress.tick();
    }
    progress.done();
    const batch: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const records = Array.from({ length: 1000 }, (_, n) => ({ key: `${n}`, value: body }));
      batch.push(await timed(1000, () => log.produce(topic, records)));
    }
    const rows = [...figures].map(([who, { single, together }]) => [
      who,
      Math.round(median(single)),
      Math.round(median(together)),
    ]);
    story.table({
      caption: 'Messages of 200 bytes, confirmed, a second: median of 5 rounds',
      columns: [
        { label: 'client' },
        { label: 'one by one', align: 'right' },
        { label: '1000 at once', align: 'right' },
      ],
      rows: [...rows, ['Kafka, this lab, 1000 in one call', '–', Math.round(median(batch))]],
    });
    const ratio = (broker: string, bare: string) => {
      const [ours, theirs] = [figures.get(`${broker}, this lab`), figures.get(`${broker}, ${bare}`)];
      const each = ours?.together.map((value, n) => value / (theirs?.together[n] ?? Number.NaN)) ?? [];
      return median(each);
    };
    const [letters, diary] = [ratio('RabbitMQ', 'bare amqplib'), ratio('Kafka', 'bare client')];
    story.verdict('What amqplib sends, this sends too', `${letters.toFixed(2)} of its speed`, letters > 0.5);
    story.verdict('And so on Kafka', `${diary.toFixed(2)} of the bare client's`, diary > 0.5);
    await Promise.all([client.close(), bare.close(), log.close(), producer.close(true)]);
  });

  await story.scene('Prefetch: 1, 50, all', async () => {
    const rows: [string, number, number][] = [];
    for (const prefetch of [1, 50, 65_535]) {
      const name = `orders-${prefetch}`;
      const client = await Rabbit.open(url, { topology: { queues: [{ name, retryDelaysMs: [] }] } });
      await Promise.all(Array.from({ length: 1000 }, (_, n) => client.send({ exchange: '', key: name, body: `${n}` })));
      const counts = [0, 0];
      const start = performance.now();
      const { promise, resolve } = Promise.withResolvers<void>();
      for (const who of [0, 1]) {
        await client.consume(
          name,
          () => {
            counts[who] = (counts[who] ?? 0) + 1;
            if ((counts[0] ?? 0) + (counts[1] ?? 0) === 1000) resolve();
          },
          { prefetch },
        );
      }
      await promise;
      const rate = 1_000_000 / (performance.now() - start);
      rows.push([prefetch === 65_535 ? 'all' : `${prefetch}`, Math.round(rate), Math.min(...counts) / 10]);
      await client.close();
    }
    story.table({
      caption: '1000 messages, two consumers with nothing to do',
      columns: [
        { label: 'prefetch' },
        { label: 'messages a second', align: 'right' },
        { label: '% for the second', align: 'right' },
      ],
      rows,
    });
    const [one, fifty] = [rows[0]?.[1] ?? 0, rows[1]?.[1] ?? 0];
    story.verdict('A prefetch of 1 waits for the wire', `50 is ${(fifty / one).toFixed(1)} times as fast`, fifty > one);
  });
});
