import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { Pool } from 'pg';
import { boundary, compose, Database, type Middleware, Signal } from './src/index.ts';

const options = {
  title: 'Middleware and signals 中间件与信号',
  subtitle: 'The bakery’s counter: an onion of layers, and a bell that rings for orders that never were',
  dir: import.meta.dirname,
};
const declined = new Error('the card was declined');

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url }), (it) => it.end());
  pool.on('error', () => {});
  await pool.query('CREATE TABLE orders (id serial PRIMARY KEY, what text)');
  const failed: unknown[] = [];
  const db = new Database({ pool, onError: (error) => failed.push(error) });
  const add = (what: string) => db.query('INSERT INTO orders (what) VALUES ($1)', [what]);
  const count = async (what: string) => {
    const { rows } = await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM orders WHERE what LIKE $1', [
      what,
    ]);
    return rows[0]?.n ?? 0;
  };

  await story.scene('Mails for orders that never were', async () => {
    story.say(
      'An order is stored, the bell rings, the card is charged, all in one transaction. Who hears the bell sends a mail. Of 200 cards 100 are declined: the transaction is rolled back, and the order with it.',
    );
    const shop = async (kind: string, mail: (send: () => void) => void) => {
      const placed = new Signal<string>('order placed');
      let mails = 0;
      placed.connect(() => mail(() => mails++));
      const order = (n: number) =>
        db.atomic(async () => {
          await add(kind);
          await placed.send(kind, 'counter');
          if (n % 2) throw declined;
        });
      await Promise.allSettled(Array.from({ length: 200 }, (_, n) => order(n)));
      const orders = await count(kind);
      return { orders, mails, phantom: mails - orders };
    };
    const naive = await shop('bread', (send) => send());
    story.code('src/database.ts', { from: 'protected async outermost', to: '}' });
    const fixed = await shop('cake', (send) => db.onCommit(send));
    story.table({
      columns: ['the receiver', 'orders stored', 'mails', 'for orders that never were'],
      rows: [
        ['sends at once', naive.orders, naive.mails, naive.phantom],
        ['onCommit(send)', fixed.orders, fixed.mails, fixed.phantom],
      ],
    });
    story.verdict(
      'A bell inside of a transaction tells what may never be true',
      `${naive.phantom} mails`,
      naive.phantom === 100,
    );
    story.verdict(
      'onCommit tells what is',
      `${fixed.mails} mails for ${fixed.orders} orders`,
      fixed.phantom === 0 && fixed.orders === 100,
    );
  });

  await story.scene('Half an order', async () => {
    story.say(
      'With each order goes a gift, in a savepoint of its own. Every third gift is out of stock: that is undone, and the order goes on.',
    );
    const mails = { order: 0, gift: 0 };
    for (let n = 0; n < 30; n++) {
      await db.atomic(async () => {
        await add('rolls');
        db.onCommit(() => mails.order++);
        await db
          .atomic(async () => {
            await add('gift');
            db.onCommit(() => mails.gift++);
            if (n % 3 === 0) throw new Error('out of stock');
          })
          .catch(() => {});
      });
    }
    const [orders, gifts] = [await count('rolls'), await count('gift')];
    story.verdict(
      'A savepoint that is undone takes its own callbacks along, and no others',
      `${orders} orders and ${mails.order} mails, ${gifts} gifts and ${mails.gift} cards`,
      orders === 30 && mails.order === 30 && gifts === 20 && mails.gift === 20,
    );
  });

  await story.scene('One has no paper', async () => {
    story.say(
      'Three hear the bell: the kitchen, the printer, the points. The printer is asynchronous and out of paper. First Node’s own EventEmitter, in a process of its own that is to take ten orders.',
    );
    const child = spawn(process.execPath, [join(import.meta.dirname, 'test/emitter.ts')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let said = '';
    child.stdout.on('data', (chunk) => (said += chunk));
    const [code] = await once(child, 'close');
    const taken = said.split('\n').filter((line) => line === 'order').length;
    story.verdict(
      'A rejection that no emitter waits for ends the process',
      `exit code ${code}, ${taken} of 10 orders taken`,
      code === 1 && taken < 10,
    );
    const placed = new Signal<number>('order placed');
    const heard = { kitchen: 0, points: 0 };
    placed.connect(() => heard.kitchen++);
    placed.connect(async function printer() {
      throw new Error('no paper');
    });
    placed.connect(() => heard.points++);
    let reports = 0;
    for (let n = 0; n < 10; n++) {
      for (const each of await placed.sendRobust(n, 'counter')) if ('error' in each) reports++;
    }
    story.verdict(
      'sendRobust tells everybody, and says who failed',
      `kitchen ${heard.kitchen}, points ${heard.points}, failures reported ${reports}`,
      heard.kitchen === 10 && heard.points === 10 && reports === 10,
    );
  });

  await story.scene('The onion', async () => {
    const seen: string[] = [];
    const layer =
      (name: string): Middleware<string, string> =>
      async (_, next) => {
        seen.push(`${name} →`);
        const response = await next();
        seen.push(`← ${name}`);
        return response;
      };
    const handler = (request: string) => {
      seen.push('handler');
      return `${request}: 200`;
    };
    await compose([layer('log'), layer('session'), layer('transaction')], handler)('POST /orders');
    story.say(`Three layers around a handler, as they were passed: ${seen.join(' ')}.`);
    story.verdict(
      'What comes first on the way in comes last on the way out',
      `${seen[0]} … ${seen.at(-1)}`,
      seen.at(-1) === '← log',
    );
    let charged = 0;
    const retry: Middleware<string, string> = async (_, next) => {
      await next();
      return next();
    };
    const outcome = await compose(
      [retry],
      () => `${++charged} charged`,
    )('POST /orders').catch((error: Error) => error.name);
    story.verdict(
      'Who calls next() twice is refused, and the card is charged once',
      `${outcome}, charged ${charged} ×`,
      charged === 1,
    );
  });

  await story.scene('Where the error becomes a page', async () => {
    story.say(
      'Fifty requests store an order and fail behind it. One layer makes a 500 page of the error, one wraps the request into a transaction. Which is outside?',
    );
    const transaction: Middleware<string, number> = (_, next) => db.atomic(() => next());
    const page = boundary<string, number>(() => 500);
    const run = async (layers: readonly Middleware<string, number>[], what: string) => {
      const app = compose(layers, async () => {
        await add(what);
        throw declined;
      });
      const pages = await Promise.all(Array.from({ length: 50 }, () => app('POST /orders')));
      return { pages: pages.filter((status) => status === 500).length, left: await count(what) };
    };
    const outside = await run([transaction, page], 'half a cake');
    const inside = await run([page, transaction], 'no cake');
    story.table({
      columns: ['from outside to inside', 'pages with 500', 'orders left behind'],
      rows: [
        ['transaction, error page', outside.pages, outside.left],
        ['error page, transaction', inside.pages, inside.left],
      ],
    });
    story.verdict(
      'A transaction outside of the error page sees a response, and commits what failed',
      `${outside.left} orders`,
      outside.left === 50,
    );
    story.verdict(
      'Inside of it it sees the error, and rolls back',
      `${inside.left} orders, ${inside.pages} pages`,
      inside.left === 0 && inside.pages === 50,
    );
  });

  await story.scene('What onCommit cannot promise', async () => {
    story.say('Ten processes commit an order each, and are killed (-9) before the callback that sends the mail.');
    let mails = 0;
    const runs = Array.from({ length: 10 }, async () => {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'test/killed.ts'), pg.url], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      child.stdout.on('data', (chunk) => (mails += `${chunk}`.split('mail').length - 1));
      await once(child, 'close');
    });
    await Promise.all(runs);
    const orders = await count('killed');
    story.verdict(
      'The orders are there, and nobody will ever send the mails',
      `${orders} orders, ${mails} mails`,
      orders === 10 && mails === 0,
    );
    story.say(
      'What must happen is written down in the transaction, and done from there: an outbox, `pnpm lab event-driven`.',
    );
  });
  story.verdict('And nothing else went wrong', `${failed.length} failed callbacks`, failed.length === 0);
});
