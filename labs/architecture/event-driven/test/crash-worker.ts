// Orders, each from its placing to its effect, in worlds of their own. Each stands still after its n-th answer from the
// database or the broker; when all stand still, or are done, the process kills itself (SIGKILL). A process takes longer to
// start than an order to be handled: so they share one.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Bus, DeadLetters, delivery, Inbox, Outbox, RabbitBus, Relay, StreamsBus, transaction } from '#lab';

export interface Order {
  readonly broker: { readonly kind: 'streams' | 'rabbit'; readonly url: string; readonly prefix: string };
  readonly database: string;
  readonly name: string;
}

/** After which answer an order stands still. */
export interface Death {
  readonly name: string;
  readonly at: number;
}

/** Who is at work: outbox, relay or consumer; an observer's answers don't count. */
const part = new AsyncLocalStorage<string>();
type Step = (what: string) => Promise<void>;

/** Does the work, or what is left of it. `step` hears of each answer from a server. */
export async function perform({ broker, database, name }: Order, step: Step = async () => {}): Promise<void> {
  const pool = new pg.Pool({ connectionString: database, max: 2 });
  pool.on('error', () => {});
  let begun = false;
  const answered = async (what: string) => {
    const who = part.getStore() ?? 'consumer';
    if (begun && who !== 'observer') await step(`${who}: ${what}`);
  };
  pool.on('connect', (client) => {
    const query = client.query.bind(client);
    Reflect.set(client, 'query', async (...args: unknown[]) => {
      const result = await Reflect.apply(query, undefined, args);
      await answered(String(args[0]).trim().split(/\s+/).slice(0, 3).join(' '));
      return result;
    });
  });
  const dead = new DeadLetters(pool, `${name}_dead`);
  const outbox = new Outbox(pool, `${name}_outbox`);
  const inbox = new Inbox(pool, `${name}_inbox`);
  for (const table of [dead, outbox, inbox]) await table.migrate();
  await pool.query(`
    CREATE TABLE IF NOT EXISTS ${name}_orders (id text PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS ${name}_effects (effect text NOT NULL)`);
  // Loaded where it is needed: a process that lives for a few answers spends most of its time on its modules.
  const redis = broker.kind === 'streams' ? new (await import('ioredis')).Redis(broker.url) : undefined;
  const prefix = `${broker.prefix}${name}:`;
  const bus: Bus = redis
    ? new StreamsBus(redis, dead, { prefix, leaseMs: 100 })
    : await RabbitBus.open(broker.url, dead, { prefix, expiresMs: 60_000 });

  if (redis) {
    const xack = redis.xack.bind(redis);
    Reflect.set(redis, 'xack', async (...args: Parameters<typeof xack>) => {
      const done = await xack(...args);
      await answered('XACK');
      return done;
    });
  }
  const published = {
    publish: async (...args: Parameters<Bus['publish']>) => {
      await bus.publish(...args);
      await answered('publish');
    },
  };
  const kitchen = delivery.reader({
    OrderPlaced: (event) =>
      inbox.once('kitchen', event, (tx) => tx.query(`INSERT INTO ${name}_effects VALUES ('cooked')`)),
  });
  // From here on each answer may be the last thing that this process hears.
  begun = true;
  await part.run('consumer', () => bus.subscribe('kitchen', kitchen, { backoffMs: () => 5 }));
  const placing = async (tx: pg.PoolClient) => {
    const { rowCount } = await tx.query(`INSERT INTO ${name}_orders VALUES ('order-1') ON CONFLICT DO NOTHING`);
    if (rowCount !== 1) return;
    await outbox.add(tx, delivery.create('OrderPlaced', 'order-1', { dish: '鱼香肉丝饭', cents: 1800 }));
  };
  await part.run('outbox', () => transaction(pool, placing));
  const relay = new Relay(pool, outbox, published);
  const allRelayed = async () => {
    const client = await pool.connect();
    const waiting = await outbox.waiting(client, 1).finally(() => client.release());
    return waiting.length === 0;
  };
  await part.run('relay', async () => {
    // A round without events is not the end: Postgres takes a moment to notice that a relay which had the lock is dead.
    while ((await relay.round()) > 0 || !(await allRelayed())) await delay(2);
  });
  for (let waiting = true; waiting; await delay(2)) {
    const { rowCount } = await part.run('observer', () => pool.query(`SELECT FROM ${name}_effects`));
    const stream = redis && (await redis.xinfo('GROUPS', `${prefix}stream`));
    // The group's fields: name, consumers, pending, entries-read, lag, each after its label.
    const behind = /"(?:pending|lag)",[^0]/.test(JSON.stringify(stream ?? []));
    waiting = rowCount === 0 || behind;
  }
  await bus.close();
  redis?.disconnect();
  await pool.end();
}

if (import.meta.main) {
  const { deaths, ...where }: { deaths: Death[] } & Omit<Order, 'name'> = JSON.parse(process.argv[2] ?? '{}');
  const last: Record<string, string> = {};
  await Promise.all(
    deaths.map(async ({ name, at }) => {
      const still = Promise.withResolvers<void>();
      let answers = 0;
      const work = perform({ ...where, name }, async (what) => {
        if (++answers < at) return;
        last[name] ??= what;
        still.resolve();
        // Not one instruction more.
        await new Promise(() => {});
      });
      await Promise.race([work, still.promise]);
    }),
  );
  await new Promise<void>((sent) => process.send?.(last, () => sent()));
  process.kill(process.pid, 'SIGKILL');
}
