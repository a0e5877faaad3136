import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema, FieldDescriptorProto_Type as Type } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { StreamBuffer as EndlessBuffer } from './pitfalls/endless-buffer.ts';
import { RetryBudget as NoBudget } from './pitfalls/no-budget.ts';
import { RetryPolicy as OrdersTwice } from './pitfalls/orders-twice.ts';
import * as lab from './src/index.ts';
import { buf, built, contractWith } from './test/contracts.ts';
import { GetPriceResponseSchema, OrderService, PriceService } from './test/shop/v1/shop_pb.ts';
import { desk, openShop, startBalancer, urlOf } from './test/shop.ts';

const { breakingChanges, openChannel, RetryBudget, RetryPolicy, RpcServer, StreamBuffer } = lab;
const CUSTOMERS = 50;
const PLACES = 10;
const percent = (part: number, whole: number) => `${((100 * part) / whole).toFixed(part > 0 ? 1 : 0)} %`;
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'OK',
    (error: unknown) => (error instanceof ConnectError ? (Code[error.code] ?? '?') : String(error)),
  );
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const options = {
  title: 'gRPC 微服务调用',
  subtitle: 'A customer at the counter, a stockroom behind it, a price desk behind that: who still works for whom?',
  dir: import.meta.dirname,
};

/** How much slower the first scene must be for all orders to reach the desk long before their customers leave: 1 to 5 times. */
const paceOf = async () => {
  await using shop = await openShop({ getPrice: () => ({ cents: 499n }) });
  const order = () => Promise.all(Array.from({ length: CUSTOMERS }, () => shop.orders.placeOrder({ sku: 'tea' })));
  await order();
  const from = performance.now();
  await order();
  // All of them are to get there in half the time that a customer waits.
  return Math.min(5, Math.ceil((performance.now() - from) / 100));
};

await tell(options, async (story) => {
  const pace = await paceOf();
  /** Milliseconds for which a customer waits, for which a look into a place takes, and that each hop keeps for the way back. */
  const [PATIENCE, EACH, MARGIN] = [200 * pace, 40 * pace, 15 * pace];

  await story.scene('Nobody tells the price desk', async () => {
    story.say(
      `${CUSTOMERS} customers order. The counter asks the stockroom, and that asks the price desk, which looks in ` +
        `${PLACES} places, ${EACH} ms each. A customer waits for ${PATIENCE} ms, then he leaves.`,
    );
    /** When the desk looked, and how often it did so after its customer had left. */
    const orders = async (propagate: typeof lab.propagate) => {
      const at: number[] = [];
      let [inVain, toTheEnd] = [0, 0];
      const gone = new Set<string>();
      await using shop = await openShop(
        {
          async getPrice({ sku }, { signal }) {
            for (let place = 0; place < PLACES && !signal.aborted; place++) {
              if (gone.has(sku)) inVain++;
              at.push(performance.now());
              await delay(EACH);
            }
            if (!signal.aborted) toTheEnd++;
            return { cents: 499n };
          },
        },
        { marginMs: MARGIN },
        { ...lab, propagate },
      );
      await shop.orders.placeOrder({ orderId: 'the first opens the lines', sku: '' });
      at.length = 0;
      toTheEnd = 0;
      const start = performance.now();
      const waited: number[] = [];
      const codes = await Promise.all(
        Array.from({ length: CUSTOMERS }, async (_, nth) => {
          await delay(nth * pace);
          const asked = performance.now();
          const code = await codeOf(
            shop.orders.placeOrder({ orderId: `${nth}`, sku: `${nth}` }, { timeoutMs: PATIENCE }),
          );
          gone.add(`${nth}`);
          waited.push(performance.now() - asked);
          return code;
        }),
      );
      // Until the desk has been quiet for a while.
      for (let seen = -1; seen !== at.length; await delay(4 * EACH)) seen = at.length;
      const lost = codes.filter((code) => code === 'DeadlineExceeded').length;
      return { inVain, toTheEnd, at: at.map((ms) => ms - start), waited: median(waited), lost };
    };
    const SLOT = 50 * pace;
    const perTurn = (at: readonly number[]) =>
      Array.from({ length: 12 }, (_, n) => [n * SLOT, at.filter((ms) => Math.floor(ms / SLOT) === n).length] as const);
    const apart = await orders(() => ({ timeoutMs: 10_000, signal: new AbortController().signal }));
    story.verdict(
      'Each hop calls as if it were the first: the customers are gone, and the desk works to the end',
      `${apart.lost} of ${CUSTOMERS} left; ${apart.toTheEnd} prices found for nobody, ${percent(apart.toTheEnd, apart.lost)}`,
      apart.lost === CUSTOMERS && apart.toTheEnd > 0.9 * CUSTOMERS,
    );
    story.say('Now each handler hands on what is left of its caller (`propagate` of src/deadline.ts):');
    story.code('test/shop.ts', { from: 'async reserve(', to: 'return { cents }' });
    const together = await orders(lab.propagate);
    story.lines({
      title: 'Lookups of the price desk',
      x: { label: 'ms since the orders' },
      y: { label: `lookups in ${SLOT} ms` },
      moments: [{ at: PATIENCE, label: 'the customers leave', tone: 'bad' }],
      series: [
        { label: 'each hop alone', points: perTurn(apart.at), tone: 'bad' },
        { label: 'one deadline', points: perTurn(together.at), tone: 'good' },
      ],
      picture: true,
    });
    story.verdict(
      `With what is left of the deadline handed on, less ${MARGIN} ms a hop, the desk stops when the customer does`,
      `DEADLINE_EXCEEDED after ${together.waited.toFixed(0)} ms; ${together.toTheEnd} prices for nobody, ` +
        `${percent(together.toTheEnd, apart.toTheEnd)}; ${together.inVain} lookups in vain, not ${apart.inVain}`,
      together.lost === CUSTOMERS && together.toTheEnd === 0 && together.inVain <= apart.inVain / 10,
    );
  });

  await story.scene('The desk is overloaded, and everybody asks again', async () => {
    story.say(
      'The price desk is down. 40 customers ask for a price; the clients repeat what failed, up to 4 attempts.',
    );
    const storm = async (budget: lab.RetryBudget) => {
      let attempts = 0;
      const answer = () => {
        attempts++;
        throw new ConnectError('closed', Code.Unavailable);
      };
      await using server = await RpcServer.serve(desk({ getPrice: answer }));
      const { interceptor } = new RetryPolicy({ budget, initialBackoffMs: 1, maxBackoffMs: 2 });
      using channel = openChannel(urlOf(server), { interceptors: [interceptor] });
      const prices = createClient(PriceService, channel.transport);
      for (let customer = 0; customer < 40; customer++) await codeOf(prices.getPrice({}));
      return attempts;
    };
    const [without, within] = [await storm(new NoBudget()), await storm(new RetryBudget())];
    story.verdict('Without a budget the outage has four times the traffic', `${without} requests`, without === 160);
    story.code('src/retry.ts', { from: 'get allows()', to: '}' });
    story.verdict('A budget of ten tokens ends that', `${within} requests for 40 questions`, within < 50);

    story.say('Then the till: it takes the order, and the connection dies before the answer. 20 orders.');
    const order = async (Policy: typeof RetryPolicy) => {
      let taken = 0;
      const route = { placeOrder: () => Promise.reject(new ConnectError(`taken: ${++taken}`, Code.Unavailable)) };
      await using server = await RpcServer.serve((router) => void router.service(OrderService, route));
      const budget = new NoBudget();
      using channel = openChannel(urlOf(server), {
        interceptors: [new Policy({ budget, maxAttempts: 2, initialBackoffMs: 1 }).interceptor],
      });
      const orders = createClient(OrderService, channel.transport);
      for (let customer = 0; customer < 20; customer++) await codeOf(orders.placeOrder({ orderId: `${customer}` }));
      return taken;
    };
    const [twice, asked] = [await order(OrdersTwice), await order(RetryPolicy)];
    story.verdict('Whoever repeats every UNAVAILABLE orders twice', `${twice} orders of 20 customers`, twice === 40);
    story.verdict('Only what the contract calls idempotent is repeated', `${asked} orders`, asked === 20);
  });

  await story.scene('A reader who does not read', async () => {
    story.say('A price feed of 1,000 messages of 16 KiB. The reader takes one, and goes to lunch.');
    const feed = async (Feed: typeof StreamBuffer) => {
      let pushed = 0;
      const label = randomBytes(16_384);
      await using server = await RpcServer.serve(
        desk({
          watchPrices({ count }, { signal }) {
            const prices = new Feed<{ number: number; label: Uint8Array }>({ limit: 16, signal });
            const source = async () => {
              for (; pushed < count; pushed++) await prices.push({ number: pushed, label });
            };
            source().catch(() => {});
            return prices;
          },
        }),
      );
      using channel = openChannel(urlOf(server));
      const stream = createClient(PriceService, channel.transport).watchPrices({ count: 1_000 });
      for await (const _ of stream) {
        for (let seen = -1; seen !== pushed; await delay(50)) seen = pushed;
        break;
      }
      await until(() => server.calls === 0);
      return pushed;
    };
    const [endless, bounded] = [await feed(EndlessBuffer), await feed(StreamBuffer)];
    const held = (count: number) => `${count} messages ahead, ${((count * 16) / 1024).toFixed(1)} MiB`;
    story.verdict('A buffer without end holds the whole feed, for each reader', held(endless), endless >= 1_000);
    story.verdict('A push that waits stops the source', held(bounded), bounded < 200);
  });

  await story.scene('A small change of the contract', async () => {
    story.say(
      '`int64 cents = 2` becomes `string cents = 2`, then `sint64`. The price desk is deployed, the tills are not.',
    );
    const wire = (type: Type, cents: unknown) => {
      const after = built(contractWith(type));
      const newer = createFileRegistry(create(FileDescriptorSetSchema, { file: [after.proto] })).getMessage(
        'shop.v1.GetPriceResponse',
      );
      if (!newer) throw new Error('shop.proto has no GetPriceResponse');
      const bytes = toBinary(newer, Object.assign(create(newer), { sku: 'tea', cents }));
      const named = breakingChanges(GetPriceResponseSchema.file, after).map(
        ({ element, what }) => `${element} ${what}`,
      );
      try {
        return { read: `${fromBinary(GetPriceResponseSchema, bytes).cents} cents`, named };
      } catch (error) {
        return { read: String(error), named };
      }
    };
    const [text, zigzag] = [wire(Type.STRING, '499'), wire(Type.SINT64, 499n)];
    story.verdict('What an old till reads of the price "499"', text.read, text.read.includes('rror'));
    story.verdict('What it reads of 499 as sint64: no error at all', zigzag.read, zigzag.read === '998 cents');
    story.verdict(
      'A guard that compares the contracts names both before anything is deployed',
      text.named.join(),
      text.named.length === 1 && zigzag.named.length === 1,
    );
    const { stdout } = await buf('--version');
    story.say(`In a product: \`buf breaking --against main\` (${stdout.trim()} here; the suite compares the two).`);
  });

  await story.scene('A deployment under load', async () => {
    story.say(
      'Two tills, each a process. Customers order all the time; an order takes 150 ms. The first till gets a SIGTERM; the second stays.',
    );
    const deploy = async (how: 'cut' | 'drain') => {
      await using bin = new AsyncDisposableStack();
      const taken: string[] = [];
      const start = async () => {
        const child = spawn(process.execPath, [`${import.meta.dirname}/test/till.ts`, how], {
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        bin.defer(() => void child.kill('SIGKILL'));
        const lines = createInterface(child.stdout);
        const [port] = await once(lines, 'line');
        lines.on('line', (id: string) => taken.push(id));
        return { port: Number(port), child };
      };
      const [first, second] = await Promise.all([start(), start()]);
      let target = first.port;
      const balancer = bin.use(await startBalancer(() => target));
      const orders = createClient(OrderService, bin.use(openChannel(urlOf(balancer))).transport);
      const codes: Promise<string>[] = [];
      for (let nth = 0; nth < 200; nth++) {
        codes.push(codeOf(orders.placeOrder({ orderId: `${nth}` }, { timeoutMs: 10_000 })));
        if (nth === 100) {
          target = second.port;
          first.child.kill('SIGTERM');
        }
        await delay(2);
      }
      const failed = (await Promise.all(codes)).filter((code) => code !== 'OK').length;
      if (first.child.exitCode === null) await once(first.child, 'exit');
      await until(() => taken.length >= 200 - failed, { what: 'the tills to have told all orders' });
      return { failed, taken: taken.length, once: new Set(taken).size };
    };
    const [cut, drained] = await Promise.all([deploy('cut'), deploy('drain')]);
    story.verdict(
      'A till that closes at SIGTERM loses what is under way',
      `${cut.failed} of 200 orders failed`,
      cut.failed > 0,
    );
    story.code('src/server.ts', {
      from: 'this.goAway(LAST_STREAM);',
      to: 'return this.cutOff();',
    });
    story.verdict(
      'A till that drains (not serving, GOAWAY, finish, hang up) loses none',
      `${drained.failed} of 200 failed; ${drained.taken} taken, ${drained.once} of them once`,
      drained.failed === 0 && drained.taken === 200 && drained.once === 200,
    );
  });
});
