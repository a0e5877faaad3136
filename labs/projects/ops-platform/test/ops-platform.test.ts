import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startFolder, startPostgres } from '@shared/services';
import { describeWith, outcome, patient, until } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import * as lab from '#lab';
import { Chain, end, statesOf } from './chain.ts';
import { runningIn } from './processes.ts';

const { AuditLog, Machine, Ops, parseRunbook, StaleFenceError } = lab;
const MINUTE = 60_000;
const RUN = '00000000-0000-4000-8000-000000000000';

await describeWith(
  'ops-platform',
  { postgres: () => startPostgres(), folder: () => startFolder('machines') },
  ({ postgres, folder }) => {
    let made = 0;
    /** @param impl what the machines of agents' processes are taken from */
    async function open(impl = process.env['LAB_IMPL'] ?? ''): Promise<Chain> {
      const chain = await Chain.open({ lab, postgres: postgres.url, schema: `chain_${++made}`, impl });
      onTestFinished(() => chain[Symbol.asyncDispose]());
      return chain;
    }
    /** A machine without an agent, and what it makes of some steps. */
    async function machine(o: { graceMs?: number; vars?: lab.Vars; secrets?: lab.Vars } = {}) {
      const { graceMs = 200, vars = {}, secrets = {} } = o;
      const root = join(folder.path, `m${++made}`);
      await mkdir(root);
      const it = new Machine({ root, graceMs });
      const play = async (steps: unknown, check = false, signal = new AbortController().signal) => {
        const { steps: parsed } = parseRunbook({ name: 'play', steps });
        return it.run({ run: RUN, check, steps: parsed, vars, secrets }, signal);
      };
      /** The state of each step, by its name. */
      const states = async (steps: unknown, check = false) =>
        Object.fromEntries((await play(steps, check)).map(({ name, state }) => [name, state]));
      /** Runs one command and gives what it said. */
      const say = async (...argv: string[]) => (await play([{ name: 'say', command: { argv } }]))[0];
      return { root, it, play, states, say };
    }
    const read = (...path: string[]) => readFile(join(...path), 'utf8');
    const node = (code: string, ...args: string[]) => [process.execPath, '-e', code, ...args];

    // ── core ──

    test('what a value says is one word of a command, whatever it says', async () => {
      const hostile = [
        'a; touch pwned',
        '$(touch pwned)',
        '`touch pwned`',
        'a && touch pwned',
        "'; touch pwned '",
        '{{ b }}',
        'a\nb "c"',
      ];
      const vars = Object.fromEntries(hostile.map((value, n) => [`v${n}`, value]));
      const { say, root } = await machine({ vars });
      for (const [n, value] of hostile.entries()) {
        const report = await say(
          ...node('console.log(JSON.stringify(process.argv.slice(1)))', `till {{ v${n} }}`, '{{v0}}'),
        );
        expect(report).toMatchObject({
          state: 'changed',
          output: `${JSON.stringify([`till ${value}`, hostile[0]])}\n`,
        });
      }
      expect(await readdir(root), 'files that a value has made').toEqual([]);
    });

    test('a second run changes nothing, and says so', async () => {
      const { states, root } = await machine({ vars: { shop: 'Lu' } });
      const steps = [
        { name: 'prices', file: { path: 'etc/prices', content: 'milk 1.19\nshop {{shop}}\n', mode: 0o640 } },
        { name: 'empty', file: { path: 'empty', content: '' } },
        { name: 'install', command: { argv: ['sh', '-c', 'echo x >> installed'], creates: 'installed' } },
        {
          name: 'line',
          command: { argv: ['sh', '-c', 'echo open >> hours'], unless: ['grep', '-q', 'open', 'hours'] },
        },
      ];
      const all = (state: string) => ({ prices: state, empty: state, install: state, line: state });
      expect(await states(steps), 'first run').toEqual(all('changed'));
      const before = await stat(join(root, 'etc/prices'));
      expect(await states(steps), 'second run').toEqual(all('ok'));
      const after = await stat(join(root, 'etc/prices'));
      const ran = { installed: await read(root, 'installed'), hours: await read(root, 'hours') };
      expect(ran).toEqual({ installed: 'x\n', hours: 'open\n' });
      expect(after.ino, 'the file was written anew').toBe(before.ino);
      await writeFile(join(root, 'etc/prices'), 'milk 9.99\n');
      await chmod(join(root, 'empty'), 0o600);
      expect(await states(steps), 'other content in one file, another mode of the other').toEqual({
        ...all('ok'),
        prices: 'changed',
        empty: 'changed',
      });
      expect(await read(root, 'etc/prices')).toBe('milk 1.19\nshop Lu\n');
      const modeOf = async (path: string) => ((await stat(join(root, path))).mode & 0o777).toString(8);
      expect({ prices: await modeOf('etc/prices'), empty: await modeOf('empty') }).toEqual({
        prices: '640',
        empty: '644',
      });
    });

    test('check mode says what would change, and changes nothing', async () => {
      const { states, root } = await machine();
      await writeFile(join(root, 'there'), 'as it is\n');
      const steps = [
        { name: 'new', file: { path: 'etc/new', content: 'x' } },
        { name: 'right', file: { path: 'there', content: 'as it is\n' } },
        { name: 'wrong', file: { path: 'there', content: 'otherwise\n' } },
        { name: 'run', command: { argv: ['touch', 'ran'] } },
        { name: 'done', command: { argv: ['touch', 'ran'], creates: 'there' } },
        { name: 'asks', command: { argv: ['touch', 'ran'], unless: ['test', '-f', 'there'] } },
        { name: 'till', service: { argv: ['sleep', '60'] } },
      ];
      const [yes, no] = ['changed', 'ok'];
      const would = { new: yes, right: no, wrong: yes, run: yes, done: no, asks: no, till: yes };
      expect(await states(steps, true)).toEqual(would);
      expect(await readdir(root), 'files after the check').toEqual(['there']);
      expect(await read(root, 'there')).toBe('as it is\n');
    });

    test('a step begins when all that it needs are done, and what needs a failed one is skipped', async () => {
      const { play, root } = await machine();
      const mark = (name: string, ...needs: string[]) => {
        return { name, needs, command: { argv: ['sh', '-c', `echo ${name} >> order`] } };
      };
      const steps = [
        mark('last', 'a', 'b'),
        mark('a'),
        mark('b'),
        { name: 'breaks', command: { argv: ['false'] } },
        mark('after', 'breaks', 'a'),
        mark('later', 'after'),
      ];
      const reports = await play(steps);
      const states = Object.fromEntries(reports.map(({ name, state }) => [name, state]));
      const well = { last: 'changed', a: 'changed', b: 'changed' };
      expect(states).toEqual({ ...well, breaks: 'failed', after: 'skipped', later: 'skipped' });
      expect((await read(root, 'order')).trim().split('\n').toSorted()).toEqual(['a', 'b', 'last']);
      expect((await read(root, 'order')).trim().split('\n').at(-1)).toBe('last');
      expect(reports.find(({ name }) => name === 'later')?.note).toBe('needs after');
      // These two wait for each other: they run at the same time, or not at all.
      const meets = (mine: string, other: string) => {
        const script = `touch ${mine}; until [ -e ${other} ]; do sleep 0.01; done`;
        return { name: mine, timeoutMs: 2_000, command: { argv: ['sh', '-c', script] } };
      };
      const met = await play([meets('one', 'two'), meets('two', 'one')]);
      expect(met.map(({ name, state }) => [name, state])).toEqual([
        ['one', 'changed'],
        ['two', 'changed'],
      ]);
    });

    test('whoever ends a step ends its children and theirs, those too that do not listen', async () => {
      const { play, root } = await machine();
      // Each writes its number, the innermost is deaf to SIGTERM and to the end of its parent.
      const script =
        'echo $$ > parent; sh -c \'echo $$ > child; trap "" TERM HUP; (echo ready > ready; sleep 60) & wait; sleep 60\' & wait';
      const cancel = new AbortController();
      const ended = play([{ name: 'hangs', command: { argv: ['sh', '-c', script] } }], false, cancel.signal);
      await until(() => read(root, 'ready'), { what: 'the grandchild to be there' });
      const [parent, child] = [Number(await read(root, 'parent')), Number(await read(root, 'child'))];
      const nameOf = (pid: number) => (pid === parent ? 'the program' : pid === child ? 'its child' : 'one of theirs');
      cancel.abort(new Error('It was cancelled.'));
      const { value } = await outcome(ended, 3_000);
      expect(value).toMatchObject([{ state: 'failed', note: 'It was cancelled.' }]);
      const ends = async () => {
        const left = await runningIn(parent);
        if (left.length > 0) throw new Error(`still running: ${left.map(nameOf).join(', ')}`);
        return true;
      };
      await until(ends, { what: 'the whole group to end', timeoutMs: 1_000 });
    });

    test('a secret is in no output, wherever the output is cut into chunks', async () => {
      const pin = 'p€n-4711';
      const [first, ...rest] = ['p€n', pin, 'x+(y)'];
      const secrets = [first ?? '', ...rest];
      const said = `a ${pin}, b ${pin}${pin} c p€ d p€n x+(y) p`;
      const masked = 'a •••, b •••••• c p€ d ••• ••• p';
      const bytes = Buffer.from(said);
      const { say, it } = await machine({ secrets: { pin, key: 'x+(y)' } });
      for (let size = 1; size <= bytes.length; size++) {
        const mask = it['mask'](secrets);
        const out: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += size) out.push(mask.push(bytes.subarray(at, at + size)));
        expect(Buffer.concat([...out, mask.end()]).toString(), `chunks of ${size} bytes`).toBe(masked);
      }
      const report = await say(
        ...node('for (const it of process.argv[1]) process.stdout.write(it)', 'pin {{pin}}, {{key}}!'),
      );
      expect(report?.output).toBe('pin •••, •••!');
      expect((await say('{{pin}}/no/such/program'))?.note).not.toContain(pin);
    });

    test('a bad change stops at its first batch, and a host that is unknown counts as a failed one', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      const decide = (limit: number, ...states: lab.JobState[]) =>
        chain.ops['decide'](
          states.map((state, n) => ({ state, batch: Math.floor(n / 2) })),
          limit,
        );
      const cases: [number, lab.JobState[], lab.Decision][] = [
        [0, ['ok', 'unknown', 'waiting', 'waiting'], { next: 'abort' }],
        [50, ['ok', 'unknown', 'waiting', 'waiting'], { next: 'start', batch: 1 }],
        [50, ['failed', 'unknown', 'waiting'], { next: 'abort' }],
        [0, ['failed', 'running', 'waiting'], { next: 'wait' }],
        [0, ['ok', 'queued', 'waiting'], { next: 'wait' }],
        [50, ['failed', 'ok', 'ok', 'changed'], { next: 'done' }],
        [40, ['ok', 'ok', 'failed', 'ok'], { next: 'abort' }],
      ];
      for (const [limit, states, decision] of cases) {
        expect(decide(limit, ...states), `two a batch, at most ${limit} % bad: ${states.join(', ')}`).toEqual(decision);
      }
      for (let n = 10; n < 20; n++) await chain.till(`till${n}`);
      chain.lead();
      const run = await chain.play([{ name: 'breaks', command: { argv: ['false'] } }], { batch: '20%' });
      expect([run.state, statesOf(run)]).toEqual(['aborted', { failed: 2, skipped: 8 }]);
      const good = await chain.play([{ name: 'works', command: { argv: ['true'] } }], { batch: 4 });
      expect([good.state, statesOf(good)]).toEqual(['done', { changed: 10 }]);
      expect(good.jobs.map(({ batch }) => batch)).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
    });

    test('a host that vanishes in the middle of its job is unknown, and so is one that never came', {
      timeout: patient(20_000),
    }, async () => {
      // It is of those who wait for agents: the agents themselves are sound.
      const chain = await open('');
      chain.lead({ silentMs: 1_000 });
      await chain.host('away');
      const { child, root } = await chain.process('till');
      await chain.ops.putRunbook('mo', {
        name: 'slow',
        batch: '100%',
        steps: [{ name: 'slow', command: { argv: ['sh', '-c', 'touch begun; sleep 60'] } }],
      });
      const id = await chain.ops.start('mo', { runbook: 'slow', target: 'all' });
      await until(() => read(root, 'begun').then(() => true), { what: 'the step to begin' });
      await end(child);
      // A minute later.
      await chain.pool.query("UPDATE ops_jobs SET since = since - interval '1 min'");
      const states = async () => {
        const jobs = new Map((await chain.view(id)).jobs.map(({ host, state }) => [host, state]));
        return jobs.get('till') === 'running' ? undefined : [...jobs];
      };
      // The one that never came has been silent for longer: when the other is given up, so is it.
      expect(await until(states, { what: 'the job of the till to be over', intervalMs: 20 })).toEqual([
        ['away', 'unknown'],
        ['till', 'unknown'],
      ]);
      expect((await chain.ended(id)).state).toBe('aborted');
    });

    test("of two controllers one leads, and what the paused one writes after its lease's end is refused", async () => {
      const { ops, pool } = await open();
      const other = new Ops({ pool });
      const first = await ops.acquire('A', MINUTE);
      expect(first).toBeTypeOf('bigint');
      expect(await other.acquire('B', MINUTE), "B asks during A's lease").toBeUndefined();
      expect(await ops.acquire('A', 300), 'A renews its lease').toBe(first);
      await ops.lead(first ?? 0n, (tx) => tx.query("INSERT INTO ops_alerts VALUES ('first', now())"));
      // A is paused here, past its lease.
      const second = await until(() => other.acquire('B', MINUTE), { what: "A's lease to end" });
      expect(second).toBeGreaterThan(first ?? 0n);
      const late = ops.lead(first ?? 0n, (tx) => tx.query("INSERT INTO ops_alerts VALUES ('late', now())"));
      expect((await outcome(late)).error, 'of a late write').toBeInstanceOf(StaleFenceError);
      expect(await ops.acquire('A', MINUTE), "A asks during B's lease").toBeUndefined();
      await other.lead(second, (tx) => tx.query("INSERT INTO ops_alerts VALUES ('second', now())"));
      const { rows } = await pool.query('SELECT fingerprint FROM ops_alerts ORDER BY at');
      expect(rows.map(({ fingerprint }) => fingerprint)).toEqual(['first', 'second']);
      // The lease ends in the middle of a write: whoever wants it next waits for the commit.
      await other.acquire('B', 300);
      const order: string[] = [];
      const [begun, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const writing = other.lead(second, async () => {
        begun.resolve();
        await go.promise;
        order.push('B has written');
      });
      await Promise.race([begun.promise, writing]);
      const taking = until(() => ops.acquire('A', MINUTE)).then(() => order.push('A leads'));
      const waits = async () => (await pool.query('SELECT FROM pg_locks WHERE NOT granted')).rowCount !== 0;
      await until(async () => order.length > 0 || (await waits()), { what: 'A to wait, or to lead' });
      go.resolve();
      await Promise.all([writing, taking]);
      expect(order).toEqual(['B has written', 'A leads']);
      // Both at once, for a lease that has ended: one gets it.
      await pool.query("UPDATE ops_leases SET ends = now() - interval '1 s'");
      const both = await Promise.all(['A', 'B', 'C', 'D'].map((name) => new Ops({ pool }).acquire(name, MINUTE)));
      expect(both.filter((fence) => fence !== undefined).length, 'leaders of four who ask at once').toBe(1);
    });

    test('an alert that comes again starts its runbook once, until its time is over', async () => {
      const { ops, host, pool } = await alerting();
      const fire = (fingerprint: string) =>
        ops.alert('monitoring', [{ status: 'firing', fingerprint, labels: { alertname: 'TillDown', host } }]);
      // All have looked before the first can write.
      const gate = await pool.connect();
      await gate.query('BEGIN; LOCK TABLE ops_alerts IN SHARE MODE');
      let settled = 0;
      const firing = Promise.all(Array.from({ length: 6 }, () => fire('f1').finally(() => settled++)));
      const waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'ops_alerts'::regclass";
      const looked = async () => ((await gate.query(waiting)).rowCount ?? 0) + settled >= 5;
      await until(looked, { what: 'as many to wait or to be done as there are connections' });
      await gate.query('COMMIT');
      gate.release();
      const told = await firing;
      expect(told.flat().filter((id) => id !== undefined).length, 'runs of six deliveries at once').toBe(1);
      expect(await fire('f1'), 'again, before its time is over').toEqual([undefined]);
      expect(await fire('f2')).toEqual([expect.any(String)]);
      await pool.query("UPDATE ops_alerts SET at = at - interval '1 min' WHERE fingerprint = 'f1'");
      expect([await fire('f1'), await fire('f1')]).toEqual([[expect.any(String)], [undefined]]);
      expect(await ops.runs()).toHaveLength(3);
    });

    async function alerting() {
      const { ops, pool } = await open();
      await ops.addHost('mo', { name: 'till' });
      await ops.putRunbook('mo', { name: 'restart', steps: [{ name: 'restart', command: { argv: ['true'] } }] });
      await ops.putRule('mo', { alert: 'TillDown', runbook: 'restart', cooldownMs: MINUTE });
      return { ops, pool, host: 'till' };
    }

    test('an entry that was changed, taken away or moved is found; one at the end by its anchor', async () => {
      const { ops } = await open();
      for (let n = 0; n < 6; n++) await ops.addUser('mo', `u${n}`, 'viewer');
      const log = new AuditLog();
      const entries = await ops.auditEntries();
      const head = entries.at(-1) ?? { seq: 0, hash: '' };
      expect(log.verify(entries, head)).toEqual({ intact: true, entries: 6 });
      expect(log.verify([], { seq: 0, hash: '' })).toEqual({ intact: true, entries: 0 });
      const found = (change: (copy: lab.AuditEntry[]) => void, anchor?: lab.Anchor) => {
        const copy = structuredClone(entries) as lab.AuditEntry[];
        change(copy);
        const verdict = log.verify(copy, anchor);
        return verdict.intact ? 'intact' : verdict.seq;
      };
      const change = (at: number, change: Partial<lab.AuditEntry>) => (copy: lab.AuditEntry[]) => {
        const entry = copy[at];
        if (entry) copy[at] = { ...entry, ...change };
      };
      for (const field of ['at', 'actor', 'action', 'detail', 'hash'] as const) {
        expect(found(change(2, { [field]: 'x' })), `entry 3 has another ${field}`).toBe(3);
      }
      expect(
        found((copy) => copy.splice(2, 1)),
        'entry 3 is gone',
      ).toBe(3);
      expect(
        found((copy) => copy.splice(0, 1)),
        'entry 1 is gone',
      ).toBe(1);
      const swap = (copy: lab.AuditEntry[]) => copy.splice(1, 2, ...copy.slice(1, 3).toReversed());
      expect(found(swap), 'entries 2 and 3 have changed places').toBe(2);
      const renumber = (copy: lab.AuditEntry[]) =>
        copy.splice(2, 4, ...copy.slice(3).map((entry) => ({ ...entry, seq: entry.seq - 1 })));
      expect(found(renumber), 'entry 3 is gone, and the others are numbered anew').toBe(3);
      // Whoever can write all of it can make another chain that is whole: the anchor knows better.
      const forge = (copy: lab.AuditEntry[]) => {
        for (let at = 2; at < copy.length; at++) {
          const entry = {
            ...copy[at],
            previous: copy[at - 1]?.hash,
            ...(at === 2 && { actor: 'nobody' }),
          } as lab.AuditEntry;
          copy[at] = { ...entry, hash: log.hash(entry) };
        }
      };
      const pop = (copy: lab.AuditEntry[]) => copy.pop();
      expect(found(forge), 'made anew from entry 3 on; no anchor').toBe('intact');
      expect(found(forge, head), 'made anew from entry 3 on; the anchor is entry 6').toBe(6);
      expect(found(forge, entries[1]), 'made anew from entry 3 on; the anchor is entry 2').toBe('intact');
      expect(found(pop), 'entry 6 is gone; no anchor').toBe('intact');
      expect(found(pop, head), 'entry 6 is gone; it is the anchor').toBe(6);
    });

    // ── hardening ──
  },
);
