import { startPostgres } from '@shared/services';
import { describeWith, outcome, random, until } from '@shared/testkit';
import { Pool } from 'pg';
import { expect, test, vi } from 'vitest';
import {
  CommitUnknownError,
  Database,
  InvalidArgumentError,
  NotDurableError,
  RolledBackError,
  Signal,
  TransactionOverError,
} from '#lab';
import { open } from './shop.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const declined = new Error('the card was declined');
const decline = () => {
  throw declined;
};

await describeWith('transactions', { postgres: () => startPostgres() }, ({ postgres }) => {
  const { url } = postgres;

  // ── core ──

  test('what is rolled back tells nobody; what is committed tells each once, in order, when it is there to be seen', async () => {
    const { db, add, stored } = await open(url);
    const told: unknown[] = [];
    const order = (what: string, pay: () => void) =>
      db.atomic(async () => {
        await add(what);
        db.onCommit(async () => told.push([what, await stored()]));
        db.onCommit(() => told.push(`${what} again`));
        pay();
        return `receipt for ${what}`;
      });
    expect((await outcome(order('cake', decline))).error).toBe(declined);
    expect([told, await stored()], 'after a rollback').toEqual([[], []]);
    expect(await order('bread', () => {})).toBe('receipt for bread');
    expect(told, 'after a commit').toEqual([['bread', ['bread']], 'bread again']);
  });

  test('a savepoint that is undone takes its own callbacks along, and no others', async () => {
    const { db, add, stored } = await open(url);
    const told: string[] = [];
    const tell = (what: string) => db.onCommit(() => told.push(what));
    const part = async (what: string, end: () => void = () => {}) => {
      await add(what);
      tell(what);
      end();
    };
    await db.atomic(async () => {
      await part('bread');
      await db.atomic(() => part('gift'));
      const lost = db.atomic(async () => {
        await part('voucher');
        await db.atomic(() => part('in the voucher'));
        decline();
      });
      expect((await outcome(lost)).error).toBe(declined);
      expect(told, 'called before the outermost has committed').toEqual([]);
      await part('cake');
    });
    expect(told, 'called after the commit').toEqual(['bread', 'gift', 'cake']);
    expect(await stored()).toEqual(['bread', 'cake', 'gift']);
  });

  test('a callback that fails undoes nothing: the others are called, and whoever ordered gets his receipt', async () => {
    const { db, add, stored, failed } = await open(url);
    const told: string[] = [];
    const [sync, late] = [new Error('no paper'), new Error('mail server down')];
    const ordering = db.atomic(async () => {
      await add('bread');
      db.onCommit(() => {
        throw sync;
      });
      db.onCommit(async () => told.push('points'));
      db.onCommit(() => Promise.reject(late));
      db.onCommit(() => told.push('kitchen'));
      return 'receipt';
    });
    const { value, error } = await outcome(ordering);
    expect(error, 'what atomic rejects with, though it has committed').toBeUndefined();
    expect([value, await stored(), told]).toEqual(['receipt', ['bread'], ['points', 'kitchen']]);
    expect(failed, 'what onError was told').toEqual([sync, late]);
  });

  test('a signal inside a transaction: who writes is undone with it, and who tells others waits for the commit', async () => {
    const { db, add, stored } = await open(url);
    const mails: string[] = [];
    const placed = new Signal<string>('order placed');
    placed.connect((what) => add(`points for ${what}`));
    placed.connect((what) => db.onCommit(() => mails.push(what)));
    const order = (what: string, pay: () => void) =>
      db.atomic(async () => {
        await add(what);
        await placed.send(what, 'shop');
        pay();
      });
    await Promise.allSettled(Array.from({ length: 10 }, (_, n) => order(`${n}`, n % 2 ? decline : () => {})));
    const even = ['0', '2', '4', '6', '8'];
    expect(mails.sort(), 'mails').toEqual(even);
    expect(await stored()).toEqual([...even, ...even.map((what) => `points for ${what}`)].sort());
  });

  // ── hardening ──

  test('callbacks are called outside of the transaction, when its connection has been given back', async () => {
    const { db, add, stored, failed } = await open(url, { max: 1 });
    await db.atomic(async () => {
      await add('bread');
      db.onCommit(async () => {
        await outcome(db.atomic(() => add('points').then(decline)));
        await add('log');
        db.onCommit(() => add('at once'));
      });
    });
    await until(async () => (await stored()).includes('at once'));
    expect([await stored(), failed]).toEqual([['at once', 'bread', 'log'], []]);
  });

  test('outside of a transaction a callback is called at once, and a statement is on its own', async () => {
    const { db, add, stored, failed, lent } = await open(url);
    const told: string[] = [];
    db.onCommit(() => told.push('now'));
    expect(told).toEqual(['now']);
    db.onCommit(decline);
    await add('bread');
    expect([await stored(), failed, lent()]).toEqual([['bread'], [declined], 0]);
  });

  test('transactions that run at once share nothing: neither rows nor callbacks', async () => {
    const { next } = random(SEED);
    const { db, add, stored, lent, failed } = await open(url, { max: 6 });
    const told: string[] = [];
    const expected: string[] = [];
    const pause = () => new Promise((resolve) => setTimeout(resolve, next() * 3));
    const node = async (name: string, depth: number): Promise<string[]> => {
      const fate = next();
      const made: string[] = [];
      await db.atomic(async () => {
        await add(name);
        db.onCommit(() => told.push(name));
        made.push(name);
        await pause();
        for (let child = 0; depth < 2 && child < 2; child++) {
          const { value } = await outcome(node(`${name}.${child}`, depth + 1));
          made.push(...(value ?? []));
        }
        await pause();
        if (fate < 0.35) decline();
      });
      return made;
    };
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) => expected.push(...((await outcome(node(`${n}`, 0))).value ?? []))),
    );
    expect(expected.length).toBeGreaterThan(20);
    expect(await stored()).toEqual(expected.toSorted());
    expect(told.toSorted()).toEqual(expected.toSorted());
    expect([lent(), failed]).toEqual([0, []]);
  });

  test('what is asked for at once inside of one transaction goes one after the other, and no savepoint takes another’s rows', async () => {
    const { db, add, stored } = await open(url);
    await db.atomic(async () => {
      const lost = outcome(
        db.atomic(async () => {
          await add('lost');
          await new Promise((resolve) => setTimeout(resolve, 10));
          decline();
        }),
      );
      await Promise.all([lost, add('beside it'), db.atomic(() => add('kept')), add('b'), add('a')]);
    });
    expect(await stored()).toEqual(['a', 'b', 'beside it', 'kept']);
  });

  test('what nobody waited for is done before the end; what comes later is refused', async () => {
    const { db, add, stored, lent, pool } = await open(url);
    let lost = 0;
    pool.on('remove', () => lost++);
    const late = Promise.withResolvers<void>();
    const after: Promise<unknown>[] = [];
    await db.atomic(() => {
      void add('not waited for');
      void db.atomic(() => add('nor for this'));
      const later = (work: () => unknown) => after.push(late.promise.then(work));
      later(() => add('late'));
      later(() => db.onCommit(() => {}));
      later(() => db.atomic(() => add('late, too')));
    });
    late.resolve();
    for (const { error } of await Promise.all(after.map(outcome))) expect(error).toBeInstanceOf(TransactionOverError);
    const undone: ReturnType<typeof outcome>[] = [];
    const failing = db.atomic(() => {
      undone.push(outcome(add('a')), outcome(db.atomic(() => add('b'))));
      decline();
    });
    expect((await outcome(failing)).error).toBe(declined);
    for (const each of undone) expect((await each).error, 'asked for before the rollback').toBeUndefined();
    expect([await stored(), lent(), lost]).toEqual([['nor for this', 'not waited for'], 0, 0]);
  });

  test('an error that was caught does not save the transaction: it is told, with its cause, and nobody else is', async () => {
    const { db, add, stored, table } = await open(url);
    const told: string[] = [];
    const half = async () => {
      await add('bread');
      db.onCommit(() => told.push('bread'));
      await outcome(db.query(`INSERT INTO ${table} VALUES ('bread')`));
      return 'receipt';
    };
    const { error } = await outcome(db.atomic(half));
    expect(error).toBeInstanceOf(RolledBackError);
    expect(error).toMatchObject({ cause: { code: '23505' } });
    await db.atomic(async () => {
      expect((await outcome(db.atomic(half))).error).toMatchObject({ code: 'ROLLED_BACK', cause: { code: '23505' } });
      await add('cake');
    });
    const circular: unknown[] = [];
    circular.push({ circular });
    await db.atomic(async () => {
      const wrong = db.atomic(() => add('gift').then(() => db.query(`INSERT INTO ${table} VALUES ($1)`, circular)));
      expect((await outcome(wrong)).error, 'a value that pg cannot send').toBeInstanceOf(TypeError);
      await add('tea');
    });
    expect([told, await stored()]).toEqual([[], ['cake', 'tea']]);
  });

  test('what Postgres finds at the commit is thrown, and nobody is told', async () => {
    const { db, add, stored, lent } = await open(url);
    const told: string[] = [];
    const { error } = await outcome(
      db.atomic(async () => {
        await add('bread', 'no such order');
        db.onCommit(() => told.push('bread'));
      }),
    );
    expect(error).toMatchObject({ code: '23503' });
    expect([told, await stored(), lent()]).toEqual([[], [], 0]);
  });

  test('a COMMIT or ROLLBACK of one’s own ends it: what follows is refused, and nobody is told', async () => {
    const { db, add, stored, lent } = await open(url);
    const told: string[] = [];
    for (const end of ['ROLLBACK', 'COMMIT', 'COMMIT AND CHAIN', 'COMMIT; BEGIN']) {
      const { error } = await outcome(
        db.atomic(async () => {
          await add(end);
          db.onCommit(() => told.push(end));
          await db.query(end);
          expect((await outcome(add('afterwards'))).error).toBeInstanceOf(TransactionOverError);
        }),
      );
      expect(error, end).toBeInstanceOf(TransactionOverError);
      const inner = () => add(`${end} inside`).then(() => db.query(end));
      const caught = await outcome(db.atomic(() => outcome(db.atomic(inner))));
      expect(caught.error, `${end} in a savepoint`).toBeInstanceOf(TransactionOverError);
    }
    const kept = ['COMMIT', 'COMMIT AND CHAIN', 'COMMIT; BEGIN'].flatMap((end) => [end, `${end} inside`]);
    expect([told, await stored(), lent()]).toEqual([[], kept.sort(), 0]);
  });

  test('who must be permanent refuses to be a savepoint', async () => {
    const { db, add, stored } = await open(url);
    await db.atomic(async () => {
      expect((await outcome(db.atomic(() => add('inner'), { durable: true }))).error).toBeInstanceOf(NotDurableError);
    });
    await db.atomic(() => add('outer'), { durable: true });
    expect(await stored()).toEqual(['outer']);
  });

  test('a connection that dies before COMMIT undoes it, one that dies in it leaves it unknown; nobody is told', async () => {
    const { db, add, stored, lent, pool, table } = await open(url);
    const told: string[] = [];
    const kill = 'SELECT pg_terminate_backend(pg_backend_pid())';
    const work = (also: () => Promise<unknown>) =>
      db.atomic(async () => {
        db.onCommit(() => told.push('told'));
        await add('bread');
        await also();
      });
    const before = await outcome(work(() => outcome(db.query(kill))));
    expect(before.error).toBeInstanceOf(RolledBackError);
    expect(before.error).toMatchObject({ cause: { code: '57P01' } });
    const died = new Promise((resolve) => pool.once('acquire', (client) => client.once('error', resolve)));
    const idle = await outcome(
      work(() => db.query("SET LOCAL idle_in_transaction_session_timeout = '5ms'").then(() => died)),
    );
    expect(idle.error, 'lost between two statements').toBeInstanceOf(RolledBackError);
    expect(idle.error).toMatchObject({ cause: { code: '25P03' } });
    await pool.query(`CREATE FUNCTION die_${table}() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
      CREATE CONSTRAINT TRIGGER die AFTER INSERT ON ${table} DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION die_${table}()`);
    expect((await outcome(work(async () => {}))).error).toBeInstanceOf(CommitUnknownError);
    expect([told, await stored()]).toEqual([[], []]);
    await until(() => lent() === 0, { what: 'every connection given back' });
  });

  test('a server that cannot be reached, or is gone at BEGIN, is told as the pool tells it, and the body is not run', async () => {
    const pool = new Pool({ connectionString: 'postgres://127.0.0.1:1/none' });
    const db = new Database({ pool, onError: () => {} });
    let runs = 0;
    const { error } = await outcome(db.atomic(() => runs++));
    expect([error, runs]).toMatchObject([{ code: 'ECONNREFUSED' }, 0]);
    const shop = await open(url, { max: 1 });
    shop.pool.once('acquire', (client) => void client.end());
    const gone = await outcome(shop.db.atomic(() => runs++));
    expect([gone.error, runs, shop.lent()]).toMatchObject([expect.any(Error), 0, 0]);
    expect(await shop.db.atomic(() => 'a new connection')).toBe('a new connection');
  });

  test('an onError that throws, or rejects, changes nothing in the outcome', async () => {
    for (const onError of [decline, async () => decline()]) {
      const warned = new Promise((resolve) => {
        vi.spyOn(process, 'emitWarning').mockImplementation(resolve);
      });
      const { db, add, stored } = await open(url, { onError });
      const order = async () => {
        await add('bread');
        db.onCommit(decline);
        return 'receipt';
      };
      expect(await db.atomic(order)).toBe('receipt');
      expect(String(await warned)).toContain('declined');
      expect(await stored()).toEqual(['bread']);
    }
  });

  test('a query builder, which begins its work when it is waited for, is in the transaction that it was returned to', async () => {
    const { db, add, stored } = await open(url);
    // biome-ignore lint/suspicious/noThenProperty: a query builder is a thenable.
    const builder = (what: string): PromiseLike<unknown> => ({ then: (ok, fail) => add(what).then(ok, fail) });
    const lost = db.atomic(async () => {
      await db.atomic(() => builder('gift'));
      decline();
    });
    expect((await outcome(lost)).error).toBe(declined);
    await db.atomic(() => builder('bread'));
    expect(await stored()).toEqual(['bread']);
  });

  test('a savepoint hands on as many callbacks as there are', async () => {
    const { db } = await open(url);
    let told = 0;
    const ask = () => {
      for (let n = 0; n < 200_000; n++) db.onCommit(() => told++);
    };
    await db.atomic(() => db.atomic(ask));
    expect(told).toBe(200_000);
  });

  test('two databases in one program know nothing of each other’s transactions', async () => {
    const [one, two] = [await open(url), await open(url)];
    const told: string[] = [];
    const lost = one.db.atomic(async () => {
      await one.add('one');
      await two.db.atomic(() => two.add('two'));
      two.db.onCommit(() => told.push('two'));
      decline();
    });
    expect((await outcome(lost)).error).toBe(declined);
    expect([await one.stored(), await two.stored(), told]).toEqual([[], ['two'], ['two']]);
  });

  test('a callback that is no function is refused when it is asked for, and not after the commit', async () => {
    const { db, stored, add } = await open(url);
    const wrong = JSON.parse('{}').callback;
    const { error } = await outcome(db.atomic(() => add('bread').then(() => db.onCommit(wrong))));
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((await outcome(db.atomic(wrong))).error).toBeInstanceOf(InvalidArgumentError);
    expect(await stored()).toEqual([]);
  });
});
