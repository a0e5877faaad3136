import { startPostgres } from '@shared/services';
import { describeWith, outcome, random, until } from '@shared/testkit';
import { expect, test } from 'vitest';
import { type Ask, InvalidArgumentError, TransferPendingError, TransferRefusedError, Transfers } from '#lab';
import { bank } from './bank.ts';
import { killAtEachStep } from './kill.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

await describeWith('transfers', { postgres: () => startPostgres() }, ({ postgres }) => {
  const open = async (ask: Ask = async () => 'done', accounts = 1) => {
    const home = await bank(postgres.url);
    const pool = home.open({ max: 4 });
    const transfers = new Transfers(pool, ask);
    await transfers.migrate();
    await pool.withTx(async (tx) => {
      for (const side of ['a', 'b']) {
        await tx.query(`INSERT INTO account SELECT $1 || n, 100 FROM generate_series(0, $2 - 1) n`, [side, accounts]);
      }
    });
    const balance = async (id: string) =>
      (await home.admin.query(`SELECT balance FROM ${home.schema}.account WHERE id = $1`, [id])).rows[0]?.balance;
    /** All the money there is: in the accounts, and on its way. */
    const sum = async () =>
      (
        await home.admin.query(`SELECT
          (SELECT sum(balance) FROM ${home.schema}.account) AS accounts,
          (SELECT coalesce(sum(amount), 0) FROM ${home.schema}.transfer WHERE state = 'pending') AS pending`)
      ).rows.map(({ accounts: a, pending }) => ({ accounts: Number(a), pending: Number(pending) }))[0];
    return { ...home, pool, transfers, balance, sum };
  };
  const order = { id: 't0', payer: 'a0', payee: 'b0', amount: 10n };

  test('a process killed at any step of a transfer loses no money: resume brings it where it belongs', async () => {
    const COPIES = 12;
    const { transfers, sum, balance, schema, backends } = await open(undefined, COPIES);
    const lab = import.meta.resolve('#lab');
    const standing = await killAtEachStep({ url: postgres.url, schema, lab, copies: COPIES });
    await until(async () => (await backends('idle in transaction%')).length === 0, { what: 'the server to notice' });

    const left = await sum();
    expect((left?.accounts ?? 0) + (left?.pending ?? 0), `killed after ${standing}`).toBe(COPIES * 200);
    expect(left?.pending, 'some were killed on the way').toBeGreaterThan(0);
    expect((await transfers.resume()).failed).toEqual([]);
    expect(await sum()).toEqual({ accounts: COPIES * 200, pending: 0 });
    expect(standing, 'it was killed before, within and after each transaction').toEqual(
      expect.arrayContaining(['BEGIN', 'COMMIT', 'the call', 'its end']),
    );
    for (let n = 0; n < COPIES; n++) {
      const both = [await balance(`a${n}`), await balance(`b${n}`)];
      // A transfer is whole, or it was never begun.
      expect(
        [
          ['90', '110'],
          ['100', '100'],
        ],
        `killed after ${standing[n]}`,
      ).toContainEqual(both);
    }
  });

  test('no connection is held and no transaction open while the other side is asked', async () => {
    let during: unknown;
    const { transfers, pool, sum } = await open(async () => {
      during = [pool.stats.lent, await sum()];
      return 'done';
    });
    expect(await transfers.send(order)).toBe('done');
    expect(during).toEqual([0, { accounts: 190, pending: 10 }]);
  });

  test('a refusal of the other side brings the money back', async () => {
    const { transfers, balance } = await open(async () => 'refused');
    expect(await transfers.send({ ...order, amount: 1n })).toBe('refused');
    expect([await balance('a0'), await balance('b0')]).toEqual(['100', '100']);
    expect(await transfers.send({ ...order, amount: 1n }), 'asked again it is the same').toBe('refused');
  });

  test('the same order sent often, and resumed meanwhile, is carried out once', async () => {
    const { transfers, balance, sum } = await open();
    const all = await Promise.all([
      ...Array.from({ length: 8 }, () => transfers.send(order)),
      transfers.resume().then(() => 'done'),
    ]);
    expect(new Set(all)).toEqual(new Set(['done']));
    expect([await balance('a0'), await balance('b0')]).toEqual(['90', '110']);
    expect(await sum()).toEqual({ accounts: 200, pending: 0 });
  });

  test('two who settle with different answers agree on the first', async () => {
    const answers = ['done', 'refused'] as const;
    const doors = answers.map(() => Promise.withResolvers<void>());
    let asked = 0;
    const { transfers, sum } = await open(async () => {
      const n = asked++;
      await doors[n]?.promise;
      return answers[n] ?? 'done';
    });
    const first = transfers.send(order);
    await until(() => asked === 1);
    const second = transfers.send(order);
    await until(() => asked === 2);
    doors[0]?.resolve();
    expect(await first).toBe('done');
    doors[1]?.resolve();
    expect(await second).toBe('done');
    expect(await sum()).toEqual({ accounts: 200, pending: 0 });
  });

  test('a transfer whose call fails stays pending; resume goes on with it, and with the others though one fails', async () => {
    const away = new Set(['t0', 't1']);
    const { transfers, sum } = await open(async ({ id }) => {
      if (away.has(id)) throw new Error('the other bank is closed');
      return 'done';
    });
    for (const id of ['t0', 't1', 't2']) {
      const { error } = await outcome(transfers.send({ ...order, id }));
      if (away.has(id)) expect(error).toBeInstanceOf(TransferPendingError);
    }
    expect(await sum()).toEqual({ accounts: 180, pending: 20 });
    away.delete('t1');
    const { settled, failed } = await transfers.resume();
    expect([settled, failed.map(({ message }) => message.includes('t0'))]).toEqual([['t1'], [true]]);
    expect(await sum()).toEqual({ accounts: 190, pending: 10 });
  });

  test('resume reports a transfer whose row was deleted meanwhile, and settles the others', async () => {
    let isAway = true;
    const { transfers, admin, schema } = await open(async () => {
      if (isAway) throw new Error('the other bank is closed');
      await admin.query(`DELETE FROM ${schema}.transfer WHERE id = 't1'`);
      return 'done';
    });
    for (const id of ['t0', 't1']) await outcome(transfers.send({ ...order, id }));
    isAway = false;
    const { settled, failed } = await transfers.resume();
    expect(settled).toEqual(['t0']);
    expect(failed).toMatchObject([{ cause: { cause: { name: 'TransferRefusedError' } } }]);
  });

  test('an answer that is neither yes nor no, or an account that is gone, leaves the money in the pending row', async () => {
    const { transfers, sum, admin, schema } = await open(async ({ id }) => {
      if (id === 't0') return JSON.parse('"Done"');
      await admin.query(`DELETE FROM ${schema}.account WHERE id = 'b0'`);
      return 'done';
    });
    for (const id of ['t0', 't1']) {
      expect((await outcome(transfers.send({ ...order, id }))).error, id).toBeInstanceOf(TransferPendingError);
    }
    expect(await sum()).toEqual({ accounts: 80, pending: 20 });
  });

  test('who has begun a transfer and gets no connection to go on is told that it is pending', async () => {
    const { open: another, sum } = await open();
    const pool = another({ max: 1, acquireTimeoutMs: 30 });
    const transfers = new Transfers(pool, async () => 'done');
    // A first connection may take longer than that.
    (await pool.acquire({ timeoutMs: 5000 })).release();
    const sent = outcome(transfers.send(order));
    const other = await pool.acquire({ timeoutMs: 1_000 });
    expect((await sent).error).toBeInstanceOf(TransferPendingError);
    other.release();
    expect(await sum()).toEqual({ accounts: 190, pending: 10 });
  });

  test('what cannot be begun leaves no trace', async () => {
    const { transfers, sum } = await open();
    await transfers.send(order);
    const refused = [
      { ...order, id: 'x', amount: 2n ** 62n - 1n },
      { ...order, id: 'x', payer: 'nobody' },
      { ...order, id: 'x', payee: 'nobody' },
      { ...order, amount: 11n },
      { ...order, payer: 'b0', payee: 'a0' },
    ];
    for (const each of refused) {
      expect((await outcome(transfers.send(each))).error, String(each.id)).toBeInstanceOf(TransferRefusedError);
    }
    const invalid: object[] = [
      { id: '' },
      { id: 'a\0b' },
      { payer: '\ud800' },
      { payee: 5 },
      { amount: 0n },
      { amount: -1n },
      { amount: 5 },
      { amount: 2n ** 62n },
      { payee: 'a0' },
    ];
    for (const each of invalid) {
      const { error } = await outcome(transfers.send({ ...order, id: 'y', ...each }));
      expect(error, String(Object.entries(each))).toBeInstanceOf(InvalidArgumentError);
    }
    expect(await sum()).toEqual({ accounts: 200, pending: 0 });
    expect((await transfers.resume()).settled).toEqual([]);
  });

  test('many at once, with connections killed among them, keep the sum', async () => {
    const dice = random(SEED);
    const { transfers, sum, admin, schema } = await open(async () => (dice.next() < 0.3 ? 'refused' : 'done'), 4);
    const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND random() < 0.5`;
    const accounts = ['a0', 'a1', 'b0', 'b1', 'b2'];
    const any = () => accounts[Math.floor(dice.next() * accounts.length)] ?? 'a0';
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const [payer, payee] = [any(), any()];
        if (n % 10 === 9) await admin.query(kill, [schema]);
        await outcome(transfers.send({ id: `t${n}`, payer, payee, amount: BigInt(1 + (n % 60)) }), 8_000);
        const { accounts: a = 0, pending = 0 } = (await sum()) ?? {};
        expect(a + pending).toBe(800);
      }),
    );
    await until(async () => (await transfers.resume()).failed.length === 0);
    expect(await sum()).toEqual({ accounts: 800, pending: 0 });
  });
});
