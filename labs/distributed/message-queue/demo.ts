import { setTimeout as delay } from 'node:timers/promises';
import { Admin } from '@platformatic/kafka';
import { startKafka, startRabbit } from '@shared/services';
import { tell } from '@shared/story';
import { until as probe } from '@shared/testkit';
import { Log as CommittedFirst } from './pitfalls/committed-first.ts';
import { Log as Keyless } from './pitfalls/no-key.ts';
import { Rabbit as Hoarder } from './pitfalls/no-prefetch.ts';
import { Rabbit as Trusting } from './pitfalls/not-mandatory.ts';
import { Rabbit as Requeuer } from './pitfalls/requeued-at-once.ts';
import { Log, partitionOf, Rabbit, type Received, type Topology, UnroutableMessageError } from './src/index.ts';

const until = (condition: () => unknown, what: string) => probe(condition, { timeoutMs: 90_000, what });
const range = (count: number) => Array.from({ length: count }, (_, n) => n);
const QUICK = { retryDelaysMs: [20, 40] };

const options = {
  title: 'Message queue 消息队列',
  subtitle: 'One takeaway shop, twice: on Kafka, a diary that is kept, and on RabbitMQ, letters that are handed out',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const starting = startRabbit();
  starting.catch(() => {});
  const kafka = await story.use(startKafka());
  await using bin = new AsyncDisposableStack();
  const writer = (Kind: typeof Log, graceMs = 2000) =>
    bin.adopt(new Kind({ bootstrap: kafka.bootstrap, graceMs }), (log) => log.close());
  const log = writer(Log);
  let topics = 0;
  const topic = async (partitions: number, compacted = false) => {
    const name = `${kafka.namespace}orders-${++topics}`;
    await log.create({ name, partitions, compacted });
    return name;
  };
  const lagOf = async (group: string, name: string) =>
    Number([...(await log.lag(group, name)).values()].reduce((sum, each) => sum + each, 0n));

  /** How many of 600 prices of three dishes are left once the cleaner has been. */
  const compaction = async () => {
    const name = await topic(1, true);
    const admin = new Admin({ clientId: 'shop', bootstrapBrokers: [...kafka.bootstrap] });
    try {
      // The cleaner comes every 15 s, and leaves the newest segment alone: both are changed for this scene.
      const set = (name: string, value: string) => ({ name, value, configOperation: 0 as const });
      const topicSettings = [set('segment.ms', '50'), set('min.cleanable.dirty.ratio', '0.01')];
      await admin.incrementalAlterConfigs({
        resources: [
          { resourceType: 4, resourceName: '', configs: [set('log.cleaner.backoff.ms', '100')] },
          { resourceType: 2, resourceName: name, configs: topicSettings },
        ],
      });
      await log.produce(
        name,
        range(600).map((n) => ({ key: `dish-${n % 3}`, value: `${n} cents` })),
      );
      let left = 600;
      for (let tries = 0; left > 100 && tries < 20; tries++) {
        await delay(100);
        await log.produce(name, [{ key: 'dish-0', value: 'the last word' }]);
        left = 0;
        const reader = log.consume({ group: `${name}-${tries}`, topic: name }, () => void left++);
        await until(async () => (await lagOf(`${name}-${tries}`, name)) === 0 && left > 0, 'what is left');
        await reader.stop();
      }
      return left;
    } finally {
      await admin.close();
    }
  };

  await story.scene('Kafka: a diary in four volumes', async () => {
    story.say(
      '43 orders are placed, paid, cooked, delivered. The diary has four volumes (partitions), and keeps the order of ' +
        'entries within each. Whoever reads the first volume is slow.',
    );
    const tale = async (Kind: typeof Log) => {
      const name = await topic(4);
      const entries = range(4).map((step) =>
        range(43).map((n) => ({ key: `order-${n}`, value: `order-${n} ${step}` })),
      );
      const pen = writer(Kind);
      for (const step of entries) await pen.produce(name, step);
      const got = new Map<string, string[]>();
      const reading = log.consume({ group: name, topic: name, concurrency: 200 }, async ({ partition, value }) => {
        await delay(partition === 0 ? 5 : 1);
        const [order = '', step = ''] = `${value}`.split(' ');
        got.set(order, [...(got.get(order) ?? []), step]);
      });
      await until(() => [...got.values()].flat().length === 4 * 43, 'all entries');
      await reading.stop();
      return [...got.values()].filter((steps) => steps.join() !== '0,1,2,3').length;
    };
    const keyless = await tale(Keyless);
    story.verdict('Without a key, stories are told out of order', `${keyless} of 43 orders`, keyless > 0);
    const keyed = await tale(Log);
    story.verdict('With the order as its key, each is in one volume', `${keyed} of 43 out of order`, keyed === 0);
    const moved = range(1000).filter((n) => partitionOf(`order-${n}`, 4) !== partitionOf(`order-${n}`, 5)).length;
    story.verdict('A fifth volume sends most keys elsewhere', `${moved / 10} % of 1000 keys move`, moved > 700);
  });

  await story.scene('Kafka: where the bookmark lies', async () => {
    story.say('The cook reads 40 orders, four at a time, and dies at the 20th. The next cook goes on at the bookmark.');
    const shift = async (Kind: typeof Log) => {
      const name = await topic(2);
      await log.produce(
        name,
        range(40).map((n) => ({ key: `order-${n}`, value: '' })),
      );
      const cooked: string[] = [];
      const first = writer(Kind, 0);
      const stove = async ({ key }: { key: string }, signal: AbortSignal) => {
        await delay(4, undefined, { signal });
        if (cooked.length >= 20) return new Promise<void>(() => {});
        return void cooked.push(key);
      };
      first.consume({ group: name, topic: name, concurrency: 4, sessionMs: 1000 }, stove);
      await until(() => cooked.length === 20, '20 orders');
      await delay(50);
      await first.close();
      const next = log.consume({ group: name, topic: name, sessionMs: 1000 }, ({ key }) => void cooked.push(key));
      await until(async () => (await lagOf(name, name)) === 0, 'the rest');
      await next.stop();
      return { lost: 40 - new Set(cooked).size, twice: cooked.length - new Set(cooked).size };
    };
    const early = await shift(CommittedFirst);
    story.verdict(
      'Committed before the work: what was on the stove is lost',
      `${early.lost} of 40 lost`,
      early.lost > 0,
    );
    const late = await shift(Log);
    const measured = `${late.lost} lost, ${late.twice} cooked twice`;
    story.verdict(
      'Committed after it, nothing is lost; what is not yet committed comes twice',
      measured,
      late.lost === 0,
    );
  });

  await story.scene('Kafka: a diary is kept', async () => {
    const name = await topic(2);
    const lags: [number, number][] = [];
    const start = performance.now();
    const watch = async () => void lags.push([performance.now() - start, await lagOf(name, name)]);
    const reading = log.consume({ group: name, topic: name, concurrency: 2 }, () => delay(4));
    for (const burst of range(5)) {
      await log.produce(
        name,
        range(40).map((n) => ({ key: `${n}`, value: `${burst}` })),
      );
      await watch();
    }
    while ((lags.at(-1)?.[1] ?? 0) > 0) {
      await watch();
      await delay(15);
    }
    await reading.stop();
    story.lines({
      title: 'Lag: orders that the kitchen has not committed',
      x: { label: 'time', unit: 'ms' },
      y: { label: 'orders', min: 0 },
      series: [{ label: 'kitchen', points: lags }],
      picture: true,
    });
    const count = async (group: string) => {
      let read = 0;
      const reader = log.consume({ group, topic: name }, () => void read++);
      await until(async () => (await lagOf(group, name)) === 0 && read > 0, `${group} to the end`);
      await reader.stop();
      return read;
    };
    const accountants = await count(`${name}-books`);
    await log.seek(name, name, 'earliest');
    const again = await count(name);
    story.verdict('Accountants who come later read it all', `${accountants} of 200`, accountants === 200);
    story.verdict('And the kitchen itself can go back to page one', `${again} of 200 again`, again === 200);
    const kept = await compaction();
    story.verdict('A compacted diary keeps the last word on each dish', `${kept} of 600 entries kept`, kept < 100);
  });

  const rabbit = await story.use(starting);
  const url = await rabbit.vhost();
  let shops = 0;
  const shop = async (Kind: typeof Rabbit, spec: Partial<Topology['queues'][number]> = {}, at = url) => {
    const name = `${rabbit.namespace}kitchen-${++shops}`;
    const exchange = `${rabbit.namespace}shop-${shops}`;
    const queue = { name, bindings: [{ exchange, key: 'order.*' }], ...QUICK, ...spec };
    const topology = { exchanges: [{ name: exchange, type: 'topic' as const }], queues: [queue] };
    const open = (Kind_ = Kind) =>
      Kind_.open(at, { topology, graceMs: 500 }).then((each) => bin.adopt(each, (it) => it.close()));
    return {
      name,
      exchange,
      open,
      client: await open(),
      order: (body: string, key = 'order.placed') => ({ exchange, key, body }),
    };
  };

  // Early: one that RabbitMQ 3.10 has declared within a second before a kill answers nothing afterwards.
  const doomed = await shop(Rabbit);

  await story.scene('RabbitMQ: confirmed, and gone', async () => {
    story.say(
      '100 orders are sent as letters. Every tenth has a slip in its address: `oder.placed`, which no queue is bound to.',
    );
    const send = async (Kind: typeof Rabbit) => {
      const { client, order, name } = await shop(Kind);
      const sent = await Promise.allSettled(
        range(100).map((n) => client.send(order(`${n}`, n % 10 === 0 ? 'oder.placed' : 'order.placed'))),
      );
      let got = 0;
      await client.consume(name, () => void got++, { prefetch: 100 });
      await until(() => got === 90, '90 orders');
      return {
        confirmed: sent.filter(({ status }) => status === 'fulfilled').length,
        refused: sent.filter((each) => each.status === 'rejected' && each.reason instanceof UnroutableMessageError)
          .length,
      };
    };
    const trusting = await send(Trusting);
    const gone = trusting.confirmed - 90;
    story.verdict(
      'A confirm alone says nothing of a queue',
      `${trusting.confirmed} confirmed, ${gone} of them gone`,
      gone === 10,
    );
    const strict = await send(Rabbit);
    const told = `${strict.confirmed} confirmed, ${strict.refused} refused`;
    story.verdict('With `mandatory` the sender is told', told, strict.confirmed === 90 && strict.refused === 10);
  });

  await story.scene('RabbitMQ: who gets how many', async () => {
    story.say(
      '40 orders wait. A beginner comes, who takes 30 ms for each, and then a cook who takes 5. Each has one stove.',
    );
    const serve = async (Kind: typeof Rabbit, prefetch: number) => {
      const { client, order, name, open } = await shop(Kind);
      await Promise.all(range(40).map((n) => client.send(order(`${n}`))));
      let done = 0;
      const start = performance.now();
      for (const ms of [30, 5]) {
        let stove = Promise.resolve();
        const cook = () => {
          stove = stove.then(() => delay(ms)).then(() => void done++);
          return stove;
        };
        await (await open()).consume(name, cook, { prefetch });
      }
      await until(() => done === 40, '40 orders');
      return performance.now() - start;
    };
    const [hoarded, twenty, one] = await Promise.all([serve(Hoarder, 1), serve(Rabbit, 20), serve(Rabbit, 1)]);
    story.bars({
      title: 'Until the last order is cooked',
      unit: 'ms',
      items: [
        { label: 'no prefetch', value: Math.round(hoarded), tone: 'bad' },
        { label: 'prefetch 20', value: Math.round(twenty) },
        { label: 'prefetch 1', value: Math.round(one), tone: 'good' },
      ],
    });
    const ratio = hoarded / one;
    story.verdict('Who takes the whole queue keeps the others idle', `${ratio.toFixed(1)} times as long`, ratio > 1.5);
  });

  await story.scene('RabbitMQ: the dish that nobody can cook', async () => {
    const poison = async (Kind: typeof Rabbit) => {
      const { client, order, name } = await shop(Kind, { deliveryLimit: 1_000_000 });
      const tries: Received[] = [];
      await client.consume(name, (message) => {
        tries.push(message);
        throw new Error('no licence for fugu');
      });
      await client.send(order('fugu'));
      await delay(400);
      return { tries: tries.length, dead: await client.replay(name) };
    };
    const [hot, cool] = await Promise.all([poison(Requeuer), poison(Rabbit)]);
    story.verdict('Put back at once, it comes again at once', `${hot.tries} deliveries in 400 ms`, hot.tries > 20);
    const measured = `${cool.tries} attempts, ${cool.dead} dead letter, with its reason`;
    story.verdict('With delays and an end, it is put aside', measured, cool.tries === 3 && cool.dead === 1);
  });

  const faults = rabbit.faults && kafka.faults;
  const title = 'Both brokers lose power at once';
  if (!faults) return story.skip(title, 'a server that is not ours is not ours to kill');
  await story.scene(title, async () => {
    story.say('Four tills send orders to each, as fast as they are confirmed. `kill -9` both; start both again.');
    story.code('src/rabbit.ts', { from: 'const session = await this.#link(this.#publishing)', to: '}' });
    const name = await topic(4);
    const { client, name: queue } = doomed;
    const tills = (send: (id: string) => Promise<void>) => {
      const confirmed = new Set<string>();
      let open = true;
      let sent = 0;
      const till = async () => {
        while (open) {
          const id = `order-${++sent}`;
          await send(id);
          confirmed.add(id);
          await delay(1);
        }
      };
      const working = Promise.all(range(4).map(till));
      working.catch(() => {});
      const close = () => {
        open = false;
        return working;
      };
      return { confirmed, close };
    };
    const diary = tills((id) => log.produce(name, [{ key: id, value: id }]));
    const letters = tills((id) => client.send({ exchange: '', key: queue, body: id, id }));
    await delay(300);
    const [before, counted] = [diary.confirmed.size, letters.confirmed.size];
    await Promise.all([kafka.brokers[0].kill(), rabbit.node.kill()]);
    await Promise.all([kafka.brokers[0].restart(), rabbit.node.restart()]);
    await until(
      () => diary.confirmed.size > before + 50 && letters.confirmed.size > counted + 50,
      'the tills to go on',
    );
    await Promise.all([diary.close(), letters.close()]);
    const found: [Set<string>, Set<string>] = [new Set(), new Set()];
    log.consume({ group: name, topic: name }, ({ key }) => void found[0].add(key));
    await client.consume(queue, ({ id }) => void found[1].add(id), { prefetch: 200 });
    const missing = (of: Set<string>, within: Set<string>) => [...of].filter((id) => !within.has(id)).length;
    const lost = () => [missing(diary.confirmed, found[0]), missing(letters.confirmed, found[1])];
    await probe(() => lost().every((count) => count === 0), { timeoutMs: 60_000 }).catch(() => {});
    const [ofDiary, ofLetters] = lost();
    story.verdict('Kafka has all that it confirmed', `${ofDiary} of ${diary.confirmed.size} lost`, ofDiary === 0);
    story.verdict('RabbitMQ too', `${ofLetters} of ${letters.confirmed.size} lost`, ofLetters === 0);
  });

  story.next(['`pnpm lab learn message-queue` to write it yourself', '`pnpm lab bench message-queue` for both speeds']);
});
