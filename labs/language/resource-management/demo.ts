import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { inspect } from 'node:util';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { outcome, patient } from '@shared/testkit';
import { Pool, type PoolClient } from 'pg';
import { acquireAll as promiseAll } from './pitfalls/promise-all.ts';
import {
  acquireAll,
  type ContextManager,
  contextManager,
  ExitStack,
  entered,
  transaction,
  withContext,
} from './src/index.ts';

const LOCKERS = 5;
const badRequest = new Error('no such coat');
const told = (error: unknown): string => {
  if (error instanceof SuppressedError) return `${told(error.error)}, over: ${told(error.suppressed)}`;
  return error instanceof Error ? error.message : inspect(error);
};
const fail = (error: Error) => async (): Promise<never> => {
  throw error;
};
const borrow = contextManager(async function* (pool: Pool): AsyncGenerator<PoolClient, void, void> {
  const client = await pool.connect();
  try {
    yield client;
  } finally {
    client.release();
  }
});

const options = {
  title: 'Resource management 上下文管理器与资源管理',
  subtitle: 'Lockers whose keys are never handed back',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  /** Five connections, the lockers of this story; whoever waits for one waits a quarter of a second at most. */
  const lockers = () => {
    const pool = new Pool({ connectionString: pg.url, max: LOCKERS, connectionTimeoutMillis: patient(250) });
    // Those that are never handed back end with the server.
    pool.on('connect', (client) => void client.on('error', () => {}));
    bin.defer(() => void pool.end());
    return pool;
  };
  const out = (pool: Pool) => pool.totalCount - pool.idleCount;

  type Use = (pool: Pool, work: (client: PoolClient) => Promise<unknown>) => Promise<void>;
  const byHand: Use = async (pool, work) => {
    const client = await pool.connect();
    await work(client);
    client.release();
  };
  const byBlock: Use = async (pool, work) => {
    await using client = await borrow(pool).enter();
    await work(client.value);
  };

  await story.scene('Five lockers, and a key that is handed back only if all goes well', async () => {
    story.say('`const client = await pool.connect()`, then the work, then `client.release()`. And the work may throw.');
    const six = lockers();
    const answers: unknown[] = [];
    while (answers.length <= LOCKERS) answers.push((await outcome(byHand(six, fail(badRequest)))).error);
    const refused = answers.findIndex((error) => error !== badRequest) + 1;
    story.verdict(
      'Each request fails and keeps its key: a pool of five is empty at request six',
      `request ${refused}: "${told(answers[refused - 1])}"`,
      refused === LOCKERS + 1,
    );
    const pool = lockers();
    let failed = 0;
    for (let n = 0; n < 1_000; n++) {
      const work = (client: PoolClient) => (story.random() < 0.5 ? fail(badRequest)() : client.query('SELECT 1'));
      if ((await outcome(byBlock(pool, work))).error) failed++;
    }
    story.verdict(
      'With `await using` every key comes back, though half of the requests throw',
      `${out(pool)} leaks in 1,000; ${failed} threw`,
      out(pool) === 0 && failed > 0,
    );
  });

  await story.scene('Five customers, all day long', async () => {
    const start = performance.now();
    const now = () => performance.now() - start;
    /** Five customers who come all the time; one of four visits fails. */
    const traffic = async (use: Use) => {
      const pool = lockers();
      let count = 0;
      const from = now();
      const visits = new Map<PoolClient, { from: number; to: number; failed: boolean }[]>();
      const customer = async () => {
        while (now() < from + 400) {
          const visit = { from: 0, to: 0, failed: ++count % 4 === 0 };
          const work = async (client: PoolClient) => {
            visits.set(client, [...(visits.get(client) ?? []), visit]);
            visit.from = now();
            await client.query('SELECT pg_sleep(0.012)');
            visit.to = now();
            if (visit.failed) throw badRequest;
          };
          await outcome(use(pool, work));
        }
      };
      await Promise.all(Array.from({ length: LOCKERS }, customer));
      const to = now();
      const lost = { to, tone: 'bad' as const, label: 'never handed back' };
      const left = out(pool);
      const spans = [...visits.values()].map((all) =>
        all.map((each) => ({ ...each, tone: 'good' as const, ...(each.failed && use === byHand && lost) })),
      );
      return { spans, from, left };
    };
    const [hand, block] = [await traffic(byHand), await traffic(byBlock)];
    const lanes = Array.from({ length: LOCKERS }, (_, locker) => ({
      label: `locker ${locker + 1}`,
      spans: [...(hand.spans[locker] ?? []), ...(block.spans[locker] ?? [])],
    }));
    const marks = [
      { at: hand.from, label: 'by hand' },
      { at: block.from, label: 'await using' },
    ];
    const title = 'Who has the key of which locker';
    story.timeline({ title, unit: 'ms', picture: true, lanes: [...lanes, { label: 'written', marks }] });
    story.verdict(
      'One visit in four fails: by hand the lockers are lost one by one',
      `keys gone after 400 ms: ${hand.left} of ${LOCKERS} by hand, ${block.left} with await using`,
      hand.left > 0 && block.left === 0,
    );
  });

  await story.scene('The door is jammed, and nobody asks any more why he ran', async () => {
    story.say('The body fails, and so does giving back. `finally` can throw one error: the last one wins.');
    const [body, jammed] = [fail(new Error('the till is empty')), fail(new Error('the door is jammed'))];
    const door = { [Symbol.asyncDispose]: jammed };
    const key = { [Symbol.asyncDispose]: fail(new Error('the key broke')) };
    const ways: Record<string, () => Promise<unknown>> = {
      'try, finally': () => body().finally(jammed),
      'await using': async () => {
        await using _ = door;
        await body();
      },
      'two of them': async () => {
        await using _first = key;
        await using _second = door;
        await body();
      },
      'and all is well but the door': async () => {
        await using _ = door;
      },
    };
    const errors = await Promise.all(Object.values(ways).map(async (run) => told((await outcome(run())).error)));
    story.table({
      columns: ['what is written', 'what its caller gets'],
      rows: Object.keys(ways).map((name, index) => [name, errors[index] ?? '']),
    });
    const kept = errors.slice(0, 3).map((error) => error.includes('till'));
    story.verdict(
      '`finally` loses the reason; a SuppressedError holds both, the newer over the older',
      `the till is in ${kept.filter(Boolean).length} of 3`,
      kept.join() === 'false,true,true',
    );
  });

  await story.scene('What `using` cannot see', async () => {
    story.say(
      "In Python a manager is told of the body's error (`__exit__`), so a transaction there commits or rolls back by " +
        'itself. `Symbol.asyncDispose` is told nothing. Here half of a transfer throws:',
    );
    const bank = lockers();
    await bank.query("CREATE TABLE account AS SELECT * FROM (VALUES ('a', 100), ('b', 0)) AS _ (id, cents)");
    const half = async (tx: { query(text: string, values: unknown[]): Promise<unknown> }) => {
      await tx.query("UPDATE account SET cents = cents - $1 WHERE id = 'a'", [100]);
      throw badRequest;
    };
    const pythonic: ContextManager<PoolClient> = {
      async enter() {
        const client = await bank.connect();
        await client.query('BEGIN');
        return entered(client, async (ending) => {
          await client.query(ending.kind === 'threw' ? 'ROLLBACK' : 'COMMIT');
          client.release();
        });
      },
    };
    const generator = contextManager(async function* () {
      await using tx = await transaction(bank);
      yield tx;
      await tx.commit();
    });
    const ways: [written: string, end: string, run: () => Promise<unknown>][] = [
      [
        'threw ? ROLLBACK : COMMIT',
        'await using',
        async () => {
          await using held = await pythonic.enter();
          await half(held.value);
        },
      ],
      ['threw ? ROLLBACK : COMMIT', 'withContext', () => withContext(pythonic, half)],
      [
        'yield tx; await tx.commit()',
        'await using',
        async () => {
          await using held = await generator().enter();
          await half(held.value);
        },
      ],
      ['yield tx; await tx.commit()', 'withContext', () => withContext(generator(), half)],
      [
        'transaction(pool)',
        'await using',
        async () => {
          await using tx = await transaction(bank);
          await half(tx);
          await tx.commit();
        },
      ],
    ];
    const sums: number[] = [];
    for (const [, , run] of ways) {
      await bank.query("UPDATE account SET cents = CASE id WHEN 'a' THEN 100 ELSE 0 END");
      await outcome(run());
      sums.push(Number((await bank.query('SELECT sum(cents) FROM account')).rows[0]?.sum));
    }
    const rows = ways.map(([written, end], index) => [written, end, sums[index] ?? Number.NaN]);
    story.table({ columns: ['the manager', 'its block', 'cents left of 100'], rows });
    const [lost, ...right] = sums;
    story.verdict('A manager that takes "over" for "well" commits half a transfer', `${lost} of 100 left`, lost === 0);
    story.code('src/context-manager.ts', { from: "ending.kind === 'threw'", to: 'generator.return' });
    story.verdict(
      'When nobody knows, a generator wakes in its `finally` alone, and `transaction` has not been told to commit',
      `all is there in ${right.filter((sum) => sum === 100).length} of ${right.length}`,
      right.every((sum) => sum === 100),
    );
  });

  await story.scene('Several keys, and a new owner', async () => {
    story.say('A customer needs six lockers of five. `Promise.all` rejects; who hands back the five that he got?');
    const six = (pool: Pool) => Array.from({ length: LOCKERS + 1 }, () => borrow(pool));
    const [careless, careful, pool] = [lockers(), lockers(), lockers()];
    await outcome(withContext(promiseAll(...six(careless)), () => {}));
    await outcome(withContext(acquireAll(...six(careful)), () => {}));
    story.verdict(
      '`acquireAll` gives back what it had, `Promise.all` nothing',
      `gone: ${out(careful)} keys, and ${out(careless)}`,
      out(careful) === 0 && out(careless) === LOCKERS,
    );
    const openTwo = async (complete: boolean) => {
      await using stack = new ExitStack();
      await stack.enterContext(borrow(pool));
      await stack.enterContext(borrow(pool));
      if (!complete) throw badRequest;
      return stack.popAll();
    };
    await outcome(openTwo(false));
    const keys = [out(pool)];
    const owner = await openTwo(true);
    keys.push(out(pool));
    await owner.close();
    keys.push(out(pool));
    story.verdict(
      'A function opens both or none, and `popAll` moves them out of its block to a new owner',
      `out after a throw: ${keys[0]}, after the return: ${keys[1]}, after owner.close(): ${keys[2]}`,
      keys.join() === '0,2,0',
    );
  });

  await story.scene('Ways to end, and who still hands back his key', async () => {
    const implementation = new URL('./src/index.ts', import.meta.url).href;
    const ways: [what: string, back: boolean, how: string, signal?: NodeJS.Signals][] = [
      ['the body throws', true, 'throw'],
      ['SIGTERM, in withContext(interruptible(), …)', true, 'interruptible', 'SIGTERM'],
      ['Ctrl-C, in withContext(interruptible(), …)', true, 'interruptible', 'SIGINT'],
      ['SIGTERM, and nobody listens', false, 'unguarded', 'SIGTERM'],
      ['kill -9', false, 'interruptible', 'SIGKILL'],
      ['process.exit() in the body', false, 'exit'],
      ['a promise that nothing settles any more', false, 'nothing'],
      ['worker.terminate()', false, 'worker'],
      ['a generator that nobody runs to its end', false, 'abandoned'],
    ];
    const run = async ([what, expected, how, signal]: (typeof ways)[number]) => {
      const child = spawn(process.execPath, [`${import.meta.dirname}/test/holder.ts`, implementation, how]);
      let said = '';
      child.stdout.on('data', (chunk) => (said += chunk));
      child.stdout.once('data', () => signal && child.kill(signal));
      const [code, by] = await once(child, 'close');
      const back = said.includes('locker given back');
      const row = [what, back ? 'handed back' : 'gone', `${by ?? `exit ${code}`}`];
      return { row, back, right: said.includes('locker held') && back === expected };
    };
    const seen = await Promise.all(ways.map(run));
    const columns = ['a process holds a locker, and then', 'key', 'how it ended'];
    story.table({ columns, rows: seen.map(({ row }) => row) });
    story.verdict(
      'A block that ends hands back, and a signal can be made to end it; where no code runs any more, nothing does',
      `${seen.filter(({ back }) => back).length} of ${ways.length} handed back`,
      seen.every(({ right }) => right),
    );
    story.say('For the others the key needs an end of its own: a TTL, or a lock that goes with its connection.');
  });
});
