import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { type FastifyInstance, fastify } from 'fastify';
import { Pool, type PoolClient } from 'pg';
import { z } from 'zod';
import { Api, integer, provide, route, stream } from './src/index.ts';

const options = {
  title: 'Typed web API 类型化异步API',
  subtitle:
    'A pharmacy’s counter: what comes in, what goes out, and who still holds the key when the customer has left',
  dir: import.meta.dirname,
};

/** What a pharmacist takes for a guarantee. */
interface Prescription {
  readonly patient: string;
  readonly medicine: string;
  readonly boxes: number;
}
const Prescription = z.strictObject({
  patient: z.string().min(1),
  medicine: z.string().min(1),
  boxes: z.int().min(1).max(12),
});
const Label = z.object({ id: z.number(), medicine: z.string(), boxes: z.number() });

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 8, connectionTimeoutMillis: 1000 }), (it) =>
    it.end(),
  );
  pool.on('error', () => {}).on('connect', (client) => client.on('error', () => {}));
  await pool.query('CREATE TABLE orders (id serial PRIMARY KEY, what text)');
  const stored = async (what: string) =>
    (await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM orders WHERE what = $1', [what])).rows[0]?.n;
  const insert = (client: Pick<PoolClient, 'query'>, what: string) =>
    client.query('INSERT INTO orders (what) VALUES ($1)', [what]);
  const open = (app: FastifyInstance) => app.listen({ host: '127.0.0.1', port: 0 });
  const failed: unknown[] = [];
  const onError = (error: unknown) => failed.push(error);

  const transaction = provide('transaction', async function* () {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      yield client;
      await client.query('COMMIT');
      client.release();
    } catch (error) {
      await client.query('ROLLBACK').then(() => client.release(), client.release);
      throw error;
    }
  });

  await story.scene('What a type stops at the door: nothing', async () => {
    story.say(
      'A prescription has a patient, a medicine and 1 to 12 boxes. The first counter declares that as an interface, and answers with the row that it has stored. The second holds it against a schema. 50 bodies come that are no prescriptions.',
    );
    const kinds: unknown[] = [
      { patient: 'Li', medicine: 'aspirin' },
      { patient: 'Li', medicine: 'aspirin', boxes: '2; DROP' },
      { patient: 'Li', medicine: { $ne: null }, boxes: 1 },
      { patient: 'Li', medicine: 'aspirin', boxes: -3 },
      { patient: 'Li', medicine: 'aspirin', boxes: 1, paid: true },
    ];
    const bodies = Array.from({ length: 50 }, (_, n) => kinds[n % kinds.length]);
    const shelf: { typed: unknown[]; checked: unknown[] } = { typed: [], checked: [] };
    const store = (rows: unknown[], prescription: Prescription) => {
      rows.push(prescription);
      return { id: rows.length, ...prescription, diagnosis: 'in confidence' };
    };
    const typed = fastify();
    typed.post<{ Body: Prescription }>('/', async ({ body }) => store(shelf.typed, body));
    const take = route({
      method: 'POST',
      url: '/',
      body: Prescription,
      response: Label,
      handler: async ({ body }) => store(shelf.checked, body),
    });
    await using api = new Api({ routes: [take], onError });
    const visit = async (app: FastifyInstance) => {
      const answers = [];
      for (const payload of [...bodies, { patient: 'Li', medicine: 'aspirin', boxes: 2 }]) {
        answers.push(
          await app.inject({
            method: 'POST',
            url: '/',
            body: JSON.stringify(payload),
            headers: { 'content-type': 'application/json' },
          }),
        );
      }
      const leaks = answers.filter(({ body }) => body.includes('in confidence')).length;
      return { refused: answers.filter(({ statusCode }) => statusCode === 422).length, leaks };
    };
    const naive = await visit(typed);
    story.code('src/api.ts', { from: 'const read = (place', to: '};' });
    const fixed = await visit(api.app);
    story.table({
      columns: ['the counter has', 'refused', 'stored', 'diagnoses that left'],
      rows: [
        ['an interface', naive.refused, shelf.typed.length, naive.leaks],
        ['schemas', fixed.refused, shelf.checked.length, fixed.leaks],
      ],
    });
    story.verdict(
      'A type is gone when the program runs',
      `${shelf.typed.length - 1} of 50 stored`,
      shelf.typed.length === 51 && naive.leaks > 0,
    );
    story.verdict(
      'A schema refuses what comes, and keeps in what the answer does not name',
      `${fixed.refused} of 50 refused, ${fixed.leaks} leaks, the good one is served`,
      fixed.refused === 50 && shelf.checked.length === 1 && fixed.leaks === 0,
    );
  });

  await story.scene('Which page is 0x10?', async () => {
    story.say(
      'What comes in a query is text. `z.coerce.number()` calls Number() on it; `integer()` takes what prints as it came.',
    );
    const texts = ['7', '', '0x10', '1e3', ' 7', '9007199254740993'];
    const read = (schema: z.ZodType, text: string) => {
      const { success, data } = schema.safeParse(text);
      return success ? String(data) : 'refused';
    };
    const rows = texts.map((text) => [`"${text}"`, read(z.coerce.number(), text), read(integer(), text)]);
    story.table({ columns: ['?page=', 'coerced', 'integer()'], rows });
    const changed = texts.filter((text) => read(z.coerce.number(), text) !== text).length;
    const kept = texts.filter((text) => read(integer(), text) !== 'refused');
    story.verdict('Number() turns 5 of 6 texts into another number', `${changed} of 6`, changed === 5);
    story.verdict('integer() takes the one that is one', kept.join(), kept.join() === '7');
  });

  await story.scene('The customer leaves, and keeps the key', async () => {
    story.say(
      'An order needs one of 8 connections. The first counter gives it back when the answer is out (`finish`). The second declares it as a dependency. 8 customers order, and leave before they are answered.',
    );
    let [atWork, away] = [0, Promise.withResolvers<void>()];
    const label = async () => {
      atWork++;
      await away.promise;
      await delay(30);
    };
    const naive = fastify();
    naive.post('/', async (_, reply) => {
      const client = await pool.connect();
      borrowed.push(client);
      reply.raw.once('finish', () => {
        borrowed.splice(borrowed.indexOf(client), 1);
        client.release();
      });
      await insert(client, 'in vain');
      await label();
      return 'taken';
    });
    const borrowed: PoolClient[] = [];
    const take = route({
      method: 'POST',
      url: '/',
      response: z.string(),
      deps: { db: transaction },
      handler: async ({ deps }) => {
        await insert(deps.db, 'left');
        await label();
        return 'taken';
      },
    });
    await using api = new Api({ routes: [take], onError });
    const visit = async (app: FastifyInstance, patience: number) => {
      const url = await open(app);
      [atWork, away] = [0, Promise.withResolvers()];
      const leaving = new AbortController();
      const order = () => fetch(url, { method: 'POST', signal: leaving.signal }).catch(() => {});
      const customers = Promise.all(Array.from({ length: 8 }, order));
      await until(() => atWork === 8, { timeoutMs: 30_000 });
      leaving.abort();
      await customers;
      away.resolve();
      await until(() => pool.totalCount === pool.idleCount, { timeoutMs: patience }).catch(() => {});
      const lent = pool.totalCount - pool.idleCount;
      const next = await fetch(url, { method: 'POST' });
      return { lent, next: next.status };
    };
    const before = await visit(naive, 300);
    for (const client of borrowed.splice(0)) client.release();
    await naive.close();
    const after = await visit(api.app, 30_000);
    story.table({
      columns: ['the connection', 'still lent', 'the next customer gets'],
      rows: [
        ['given back on finish', `${before.lent} of 8`, before.next],
        ['a dependency', `${after.lent} of 8`, after.next],
      ],
    });
    story.verdict('Who leaves never finishes: each took a connection along', `${before.lent} lent`, before.lent > 0);
    const kept = await stored('left');
    story.verdict(
      'A dependency is taken back however the request ends',
      `${after.lent} lent; ${kept} order kept, the one that was answered`,
      after.lent === 0 && after.next === 200 && kept === 1,
    );
  });

  await story.scene('“Too late”, and the order is there', async () => {
    story.say(
      'The label printer is slow: 20 orders miss their deadline. The first counter races the handler against a timer, the second has `deadlineMs`.',
    );
    const slow = () => delay(120);
    const order = async (db: Pick<PoolClient, 'query'>, what: string) => {
      await insert(db, what);
      await slow();
      return 'taken';
    };
    const raced = fastify();
    raced.post('/', async (_, reply) => {
      const late = delay(60).then(() => reply.status(504).send('too late'));
      return Promise.race([order(pool, 'raced'), late]);
    });
    const deps = { db: transaction };
    const take = route({
      method: 'POST',
      url: '/',
      response: z.string(),
      deps,
      deadlineMs: 60,
      handler: ({ deps }) => order(deps.db, 'cut off'),
    });
    const api = new Api({ routes: [take], onError });
    const visit = async (app: FastifyInstance) => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => app.inject({ method: 'POST', url: '/' })));
      return answers.filter(({ statusCode }) => statusCode === 504).length;
    };
    const naive = { told: await visit(raced), kept: 0 };
    await until(() => pool.totalCount === pool.idleCount, { timeoutMs: 30_000 });
    naive.kept = (await stored('raced')) ?? 0;
    const fixed = await visit(api.app);
    await api.close();
    const kept = await stored('cut off');
    story.table({
      columns: ['the deadline', 'told 504', 'orders kept'],
      rows: [
        ['Promise.race', naive.told, naive.kept],
        ['deadlineMs', fixed, kept ?? -1],
      ],
    });
    story.verdict(
      'A race has a winner, but it stops nobody: who orders again has two',
      `${naive.kept} kept`,
      naive.told === 20 && naive.kept > 0,
    );
    story.verdict('504 means that nothing was kept', `${fixed} told, ${kept} kept`, fixed === 20 && kept === 0);
  });

  await story.scene('A reader that does not read', async () => {
    story.say(
      'The stock list has 1,000 lines of 64 KB. Who asked for it reads nothing. What waits in the server’s memory?',
    );
    const line = { text: 'x'.repeat(65_536) };
    const list = stream({
      method: 'GET',
      url: '/',
      response: z.object({ text: z.string() }),
      async *handler() {
        for (let n = 0; n < 1000; n++) yield line;
      },
    });
    const naive = fastify();
    naive.get('/', (_, reply) => {
      reply.hijack();
      for (let n = 0; n < 1000; n++) reply.raw.write(`${JSON.stringify(line)}\n`);
    });
    await using api = new Api({ routes: [list], onError, drain: { limitMs: 1 } });
    const visit = async (app: FastifyInstance) => {
      const { port } = new URL(await open(app));
      const accepted = once(app.server, 'connection');
      const reader = connect(Number(port), '127.0.0.1').pause();
      reader.write('GET / HTTP/1.1\r\nhost: counter\r\n\r\n');
      const [socket] = await accepted;
      let most = 0;
      for (let n = 0; n < 100; n++) {
        await delay(3);
        most = Math.max(most, socket.writableLength);
      }
      reader.destroy();
      return most / 2 ** 20;
    };
    const all = await visit(naive);
    await naive.close();
    const bounded = await visit(api.app);
    story.bars({
      title: 'waiting in memory for one reader',
      unit: 'MB',
      items: [
        { label: 'write() unheard', value: all, tone: 'bad' },
        { label: 'waits for drain', value: bounded, tone: 'good' },
      ],
    });
    story.verdict('write() takes all, and says false to nobody', `${all.toFixed(1)} MB`, all > 30);
    story.verdict('A source that waits for its reader holds a few lines', `${bounded.toFixed(2)} MB`, bounded < 2);
  });

  await story.scene('Closing time', async () => {
    story.say(
      '40 customers order over connections that stay open, in a process that gets a SIGTERM. A request is lost when it was sent and never answered.',
    );
    const days = [];
    for (const [mode, name] of [
      ['exit', 'process.exit()'],
      ['close', 'server.close()'],
      ['drain', 'api.close()'],
    ] as const) {
      const child = fork(join(import.meta.dirname, 'test/counter-process.ts'), [mode]);
      const ended = once(child, 'exit');
      const [url] = await once(child, 'message');
      const day = { name, answered: 0, lost: 0, open: true, ended: false };
      const customer = async (n: number) => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        while (day.open) {
          try {
            await ask(String(url), agent);
            day.answered++;
          } catch (error) {
            if (!(error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED')) day.lost++;
            break;
          }
          await delay(n % 4);
        }
        agent.destroy();
      };
      const customers = Promise.all(Array.from({ length: 40 }, (_, n) => customer(n)));
      await until(() => day.answered > 200, { timeoutMs: 30_000 });
      child.kill('SIGTERM');
      // Who never ends is not waited for as long as who ends in his time.
      const patience = delay(mode === 'close' ? 1500 : 30_000, false, { ref: false });
      day.ended = await Promise.race([ended.then(() => true), patience]);
      day.open = false;
      await Promise.all([customers, ended]);
      days.push(day);
    }
    story.table({
      columns: ['on SIGTERM', 'answered', 'lost', 'ends while they come'],
      rows: days.map(({ name, answered, lost, ended }) => [name, answered, lost, ended ? 'yes' : 'not in 1.5 s']),
    });
    const [exit, close, drain] = days;
    story.verdict('A process that ends loses what is at work', `${exit?.lost} lost`, (exit?.lost ?? 0) > 0);
    story.verdict(
      'server.close() alone never tells its customers',
      `${close?.answered} answered, no end`,
      close?.ended === false,
    );
    story.verdict(
      'One that answers what is under way, and says “connection: close”, loses none, and ends',
      `${drain?.lost} lost`,
      drain?.lost === 0 && drain.ended,
    );
  });
});

function ask(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent }, (response) => response.on('error', reject).on('end', resolve).resume());
    request.on('error', reject).end();
  });
}
