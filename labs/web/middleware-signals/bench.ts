import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import koaCompose from 'koa-compose';
import { Pool } from 'pg';
import { compose, Database, type Middleware } from './src/index.ts';

await tell(
  { title: 'Middleware: beside koa-compose, and what atomic costs', dir: import.meta.dirname },
  async (story) => {
    const pg = await story.use(startPostgres());
    await using bin = new AsyncDisposableStack();
    const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 8 }), (it) => it.end());
    pool.on('error', () => {});
    const db = new Database({ pool, onError: (error) => story.say(String(error)) });

    let microseconds = Number.NaN;

    await story.scene('Ten layers that only pass on, a thousand requests a turn', async () => {
      const mine: Middleware<number, number> = (_, next) => next();
      const ours = compose(
        Array.from({ length: 10 }, () => mine),
        (n) => n,
      );
      const theirs = koaCompose<{ n: number }>(Array.from({ length: 10 }, () => (_, next) => next()));
      const thousand = async (pass: (n: number) => Promise<unknown>) => {
        for (let n = 0; n < 1000; n++) await pass(n);
      };
      const [lab, koa] = await contest(
        { lab: () => thousand(ours), 'koa-compose': () => thousand((n) => theirs({ n }, async () => {})) },
        { workers: 1, rounds: 7, turnMs: 300 },
      );
      if (!lab || !koa) throw new Error('two contestants');
      story.table(standingsTable([lab, koa]));
      story.say(
        `Watching what a layer does with next() costs: ${consensus(ratios(lab, koa)).text} of koa-compose’s speed.`,
      );
      microseconds = 1e6 / (1000 * lab.perSecond);
    });

    await story.scene('BEGIN, one INSERT, COMMIT', async () => {
      await pool.query('CREATE TABLE orders (what text)');
      const insert = "INSERT INTO orders VALUES ('bread')";
      const [lab, hand] = await contest(
        {
          'atomic, one callback': () =>
            db.atomic(async () => {
              await db.query(insert);
              db.onCommit(() => {});
            }),
          'pg by hand': async () => {
            const client = await pool.connect();
            try {
              await client.query('BEGIN');
              await client.query(insert);
              await client.query('COMMIT');
            } finally {
              client.release();
            }
          },
        },
        { workers: 8, rounds: 7, turnMs: 400 },
      );
      if (!lab || !hand) throw new Error('two contestants');
      story.table(standingsTable([lab, hand]));
      const { text, median } = consensus(ratios(lab, hand));
      story.verdict(
        'A transaction that code finds by itself costs little',
        `${text} of the speed by hand`,
        median > 0.6,
      );
      const share = (microseconds * lab.perSecond) / 1e6;
      story.verdict(
        'Ten layers take less than a tenth of the time that a small transaction takes',
        `${(100 * share).toFixed(1)} %`,
        share < 0.1,
      );
    });
  },
);
