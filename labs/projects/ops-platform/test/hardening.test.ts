import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdir, readdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { startFolder, startPostgres } from '@shared/services';
import { describeWith, outcome, patient, until } from '@shared/testkit';
import { Pool } from 'pg';
import { expect, onTestFinished, test, vi } from 'vitest';
import * as lab from '#lab';
import { Chain, end, statesOf } from './chain.ts';
import { runningIn } from './processes.ts';

const {
  Bounded,
  Controller,
  CycleError,
  ForbiddenError,
  InvalidArgumentError,
  Machine,
  NotFoundError,
  Ops,
  parseRunbook,
} = lab;
const { StaleFenceError, StepFailedError, StoreUnavailableError, UnknownTokenError } = lab;
const RUN = '00000000-0000-4000-8000-000000000000';

await describeWith(
  'ops-platform: hardening',
  { postgres: () => startPostgres(), folder: () => startFolder('machines') },
  ({ postgres, folder }) => {
    let made = 0;
    async function open(): Promise<Chain> {
      const impl = process.env['LAB_IMPL'];
      const schema = `hard_${++made}`;
      const chain = await Chain.open({ lab, postgres: postgres.url, schema, ...(impl && { impl }) });
      onTestFinished(() => chain[Symbol.asyncDispose]());
      return chain;
    }
    async function machine(o: { outputBytes?: number; graceMs?: number; vars?: lab.Vars; secrets?: lab.Vars } = {}) {
      const { vars = {}, secrets = {}, ...rest } = o;
      const root = join(folder.path, `h${++made}`);
      await mkdir(root);
      const it = new Machine({ root, graceMs: 200, ...rest });
      const play = async (steps: unknown, check = false, signal = new AbortController().signal) => {
        const { steps: parsed } = parseRunbook({ name: 'play', steps });
        return it.run({ run: RUN, check, steps: parsed, vars, secrets }, signal);
      };
      /** What one step comes to. */
      const one = async (step: object) => (await play([{ name: 'one', ...step }]))[0];
      const sh = (line: string) => one({ command: { argv: ['sh', '-c', line] } });
      return { root, it, play, one, sh };
    }
    const read = (...path: string[]) => readFile(join(...path), 'utf8');
    const runs = (argv: readonly string[]) => [{ name: 'one', command: { argv } }];

    // ── runbooks ──

    test('steps that need each other are refused, with their names', () => {
      const step = (name: string, ...needs: string[]) => ({ name, needs, command: { argv: ['true'] } });
      const bad = {
        name: 'x',
        steps: [step('free'), step('a', 'free', 'c'), step('b', 'a'), step('c', 'b'), step('d', 'a')],
      };
      expect(() => parseRunbook(bad)).toThrow(CycleError);
      expect(() => parseRunbook(bad)).toThrow(/a → c → b → a|b → a → c → b|c → b → a → c/);
      expect(() => parseRunbook({ name: 'x', steps: [step('a', 'a')] })).toThrow('a → a');
      const chain = Array.from({ length: 64 }, (_, n) => step(`s${n}`, ...(n > 0 ? [`s${n - 1}`] : [])));
      expect(parseRunbook({ name: 'x', steps: chain.toReversed() }).steps).toHaveLength(64);
    });

    test('what is no runbook, no host, no schedule and no number is refused before anything is written', async () => {
      const { ops } = await open();
      const step = { name: 'a', command: { argv: ['true'] } };
      const books = [
        undefined,
        { name: 'x', steps: [] },
        { name: 'x y', steps: [step] },
        { name: 'x', steps: [{ name: '.', service: { argv: ['true'] } }] },
        { name: 'x', steps: [step, step] },
        { name: 'x', steps: [{ ...step, needs: ['nowhere'] }] },
        { name: 'x', steps: [{ ...step, timeoutMs: Number.NaN }] },
        { name: 'x', steps: [{ ...step, timeoutMs: Number.POSITIVE_INFINITY }] },
        { name: 'x', steps: [{ ...step, shell: 'true' }] },
        { name: 'x', steps: [{ name: 'a', command: { argv: 'true' } }] },
        { name: 'x', steps: [{ name: 'a', command: { argv: ['a\0b'] } }] },
        { name: 'x', steps: [{ name: 'a', file: { path: 'a', content: 'half \ud83d' } }] },
        { name: 'x', steps: [{ name: 'a', file: { path: 'a', content: '', mode: 0o4777 } }] },
        ...['0%', '101%', '5', 0, -1, 1.5].map((batch) => ({ name: 'x', steps: [step], batch })),
        ...[-1, 101, Number.NaN].map((maxFailedPercent) => ({ name: 'x', steps: [step], maxFailedPercent })),
      ];
      for (const book of books) {
        expect((await outcome(ops.putRunbook('mo', book))).error, JSON.stringify(book)).toBeInstanceOf(
          InvalidArgumentError,
        );
      }
      const words = async (book: unknown) => String((await outcome(ops.putRunbook('mo', book))).error);
      expect(await words({ name: 'x y', steps: [] })).toMatch(/In the runbook, name: .+; steps: /);
      expect(await words('x')).toContain('In the runbook, (all): ');
      await ops.putRunbook('mo', { name: 'x', steps: [step] });
      const first = new Date();
      const schedule = { name: 's', runbook: 'x', target: 'all', everyMs: 1, first };
      const bad: [() => Promise<unknown>, typeof NotFoundError | typeof InvalidArgumentError][] = [
        [() => ops.addHost('mo', { name: 'a;b' }), InvalidArgumentError],
        [() => ops.addHost('mo', { name: 'all' }), InvalidArgumentError],
        [() => ops.addHost('mo', { name: 'a', tags: ['all'] }), InvalidArgumentError],
        [() => ops.addUser('half \ud83d', 'u', 'viewer'), InvalidArgumentError],
        [() => ops.addHost('mo', { name: 'a', secrets: { pin: '' } }), InvalidArgumentError],
        [() => ops.putSchedule('mo', { ...schedule, everyMs: 0 }), InvalidArgumentError],
        // Postgres can't reckon with them: one of them would keep all that is due from being found.
        [() => ops.putSchedule('mo', { ...schedule, everyMs: Number.MAX_SAFE_INTEGER }), InvalidArgumentError],
        [() => ops.putSchedule('mo', { ...schedule, first: new Date(-8.64e15) }), InvalidArgumentError],
        [() => ops.putSchedule('mo', { ...schedule, first: new Date(Number.NaN) }), InvalidArgumentError],
        [() => ops.putSchedule('mo', { ...schedule, runbook: 'nowhere' }), NotFoundError],
        [() => ops.start('mo', { runbook: 'nowhere', target: 'all' }), NotFoundError],
        [() => ops.start('mo', { runbook: 'x', target: 'nowhere' }), NotFoundError],
        // Whoever asks for a check in words of his own gets no real run.
        [
          () => ops.start('mo', JSON.parse('{ "runbook": "x", "target": "all", "check": "yes" }')),
          InvalidArgumentError,
        ],
        [() => ops.remove('mo', 'hosts', 'nowhere'), NotFoundError],
        [() => ops.forget('mo', Number.NaN), InvalidArgumentError],
        [() => ops.cancel('mo', RUN), NotFoundError],
        [() => ops.cancel('mo', "' OR true --"), InvalidArgumentError],
        [() => ops.acquire('A', 0), InvalidArgumentError],
      ];
      for (const [call, kind] of bad) expect((await outcome(call())).error).toBeInstanceOf(kind);
      for (const number of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
        expect(() => new Machine({ root: folder.path, outputBytes: number })).toThrow(InvalidArgumentError);
        expect(() => new Controller({ ops, onError: () => {}, leaseMs: number })).toThrow(InvalidArgumentError);
      }
      const wrong = { url: 'office', token: 'x', machine: new Machine({ root: folder.path }), onError: () => {} };
      expect(() => new lab.Agent(wrong)).toThrow(InvalidArgumentError);
      expect((await ops.auditEntries()).map(({ action }) => action)).toEqual(['runbook']);
    });

    test('a limit is what it says: as much is taken, and by one too much is refused', async () => {
      const { ops } = await open();
      const step = { name: 's', command: { argv: ['true'] } };
      const many = (count: number) => Array.from({ length: count }, (_, n) => ({ ...step, name: `s${n}` }));
      const book = (o: object) => () => parseRunbook({ name: 'r', steps: [step], ...o });
      const inStep = (o: object) => book({ steps: [{ ...step, ...o }] });
      const file = (o: object) => book({ steps: [{ name: 's', file: { path: 'a', content: '', ...o } }] });
      const command = (o: object) => inStep({ command: { argv: ['true'], ...o } });
      const bounded = (o: object) => () => new Machine({ root: folder.path, ...o });
      const host = (o: object) => () => ops.addHost('mo', { name: 'h', ...o });
      const tags = (count: number) => Array.from({ length: count }, (_, n) => `t${n}`);
      const schedule = (everyMs: number, first = new Date(0)) => {
        return () => ops.putSchedule('mo', { name: 's', runbook: 'r', target: 'all', everyMs, first });
      };
      const rule = (cooldownMs: number) => () => ops.putRule('mo', { alert: 'A', runbook: 'r', cooldownMs });
      const alerts = (count: number) => () => {
        return ops.alert('mo', new Array(count).fill({ status: 'resolved', fingerprint: 'f', labels: {} }));
      };
      const beat = (count: number, o: object = {}) => {
        const reports = new Array(count).fill({ name: 's', state: 'ok', note: '', output: '', ...o });
        return () => ops.beat('h', 'session', { run: RUN, reports, done: false });
      };
      const years = 2 ** 40;
      const brief = {
        onError: () => {},
        url: 'http://127.0.0.1:1',
        token: 'x',
        machine: new Machine({ root: folder.path }),
      };
      const agent = (o: object) => async () => await new lab.Agent({ ...brief, ...o })[Symbol.asyncDispose]();
      const controller = (o: object) => async () => {
        await new Controller({ ops, onError: () => {}, ...o })[Symbol.asyncDispose]();
      };
      await ops.putRunbook('mo', { name: 'r', steps: [step] });
      const limits: { [what: string]: readonly [taken: () => unknown, refused: () => unknown] } = {
        'the most steps': [book({ steps: many(64) }), book({ steps: many(65) })],
        'the longest name': [inStep({ name: 'n'.repeat(64) }), inStep({ name: 'n'.repeat(65) })],
        'the most needs': [
          book({ steps: [step, { ...step, name: 'b', needs: new Array(64).fill('s') }] }),
          book({ steps: [step, { ...step, name: 'b', needs: new Array(65).fill('s') }] }),
        ],
        'the shortest time': [inStep({ timeoutMs: 1 }), inStep({ timeoutMs: 0 })],
        'the longest time': [inStep({ timeoutMs: 86_400_000 }), inStep({ timeoutMs: 86_400_001 })],
        'the fewest words': [command({ argv: ['a'] }), command({ argv: [] })],
        'the most words': [command({ argv: new Array(64).fill('a') }), command({ argv: new Array(65).fill('a') })],
        'the shortest path': [file({ path: 'a' }), file({ path: '' })],
        'the shortest path of what is made': [command({ creates: 'a' }), command({ creates: '' })],
        'the longest text': [file({ content: 'x'.repeat(65_536) }), file({ content: 'x'.repeat(65_537) })],
        'the least mode': [file({ mode: 0 }), file({ mode: -1 })],
        'the largest mode': [file({ mode: 0o777 }), file({ mode: 0o1000 })],
        'the smallest batch': [book({ batch: 1 }), book({ batch: 0 })],
        'the largest batch': [book({ batch: 100_000 }), book({ batch: 100_001 })],
        'the smallest share': [book({ batch: '1%' }), book({ batch: '0%' })],
        'the largest share': [book({ batch: '100%' }), book({ batch: '101%' })],
        'the least percent': [book({ maxFailedPercent: 0 }), book({ maxFailedPercent: -0.1 })],
        'the most percent': [book({ maxFailedPercent: 100 }), book({ maxFailedPercent: 100.1 })],
        'the shortest grace': [bounded({ graceMs: 0 }), bounded({ graceMs: -1 })],
        'the longest grace': [bounded({ graceMs: 2 ** 31 - 1 }), bounded({ graceMs: 2 ** 31 })],
        'the least output': [bounded({ outputBytes: 64 }), bounded({ outputBytes: 63 })],
        'the most output': [bounded({ outputBytes: 16_384 }), bounded({ outputBytes: 16_385 })],
        'the most tags': [host({ tags: tags(32) }), host({ tags: tags(33) })],
        'the shortest period': [schedule(1), schedule(0)],
        'the longest period': [schedule(years), schedule(years + 1)],
        'the last beginning': [
          schedule(1, new Date('9999-12-31')),
          schedule(1, new Date(Date.parse('9999-12-31') + 1)),
        ],
        'the first beginning': [schedule(1, new Date(0)), schedule(1, new Date(-1))],
        'the shortest pause of a rule': [rule(0), rule(-1)],
        'the longest pause of a rule': [rule(years), rule(years + 1)],
        'the most alerts': [alerts(1_000), alerts(1_001)],
        'the most reports': [beat(64), beat(65)],
        'the longest note': [beat(1, { note: 'x'.repeat(2_000) }), beat(1, { note: 'x'.repeat(2_001) })],
        'the longest output': [beat(1, { output: 'x'.repeat(20_000) }), beat(1, { output: 'x'.repeat(20_001) })],
        'the youngest runs': [() => ops.forget('mo', 0), () => ops.forget('mo', -1)],
        'the oldest runs': [() => ops.forget('mo', years), () => ops.forget('mo', years + 1)],
        ...Object.fromEntries(
          ['beatMs', 'timeoutMs', 'retryMs'].map((name) => [name, [agent({ [name]: 1 }), agent({ [name]: 0 })]]),
        ),
        ...Object.fromEntries(
          ['leaseMs', 'silentMs', 'everyMs'].map((name) => [
            name,
            [controller({ [name]: 1 }), controller({ [name]: 0 })],
          ]),
        ),
        'the shortest lease': [() => ops.acquire('A', 1), () => ops.acquire('A', 0)],
      };
      for (const [what, [taken, refused]] of Object.entries(limits)) {
        expect((await outcome((async () => taken())())).error, what).toBeUndefined();
        expect((await outcome((async () => refused())())).error, what).toBeInstanceOf(InvalidArgumentError);
      }
    });

    test('what a runbook leaves out is careful: small batches, no failure, one minute', () => {
      const steps = [
        { name: 'c', command: { argv: ['true'] } },
        { name: 'f', file: { path: 'a', content: '' } },
        { name: 's', service: { argv: ['till'] } },
      ];
      const common = { needs: [], timeoutMs: 60_000 };
      expect(parseRunbook({ name: 'r', steps })).toEqual({
        name: 'r',
        batch: '10%',
        maxFailedPercent: 0,
        steps: [
          { ...common, name: 'c', command: { argv: ['true'] } },
          { ...common, name: 'f', file: { path: 'a', content: '', mode: 0o644 } },
          { ...common, name: 's', service: { argv: ['till'], state: 'running' } },
        ],
      });
      expect(new Machine({ root: folder.path })['graceMs']).toBe(5_000);
    });

    // ── the machine ──

    test('of much output the beginning and the end are kept, whole characters, and the rest is counted', async () => {
      const text = `begin ${'€😀กé'.repeat(300)} end`;
      const bytes = Buffer.from(text);
      for (const size of [1, 7, 4_096, bytes.length]) {
        // Cut at each byte of each of them.
        for (const limit of Array.from({ length: 25 }, (_, n) => 64 + n)) {
          const kept = new Bounded(limit);
          for (let at = 0; at < bytes.length; at += size) kept.push(bytes.subarray(at, at + size));
          const { text: read, cutBytes } = kept.read();
          expect(read).toMatch(/^begin [€😀กé]+\n… \d+ bytes …\n[€😀กé]+ end$/u);
          expect(Buffer.byteLength(read.replace(/\n… \d+ bytes …\n/, '')) + cutBytes).toBe(bytes.length);
        }
      }
      // Of what is no text no more is left out than what could belong to a character that began before.
      const binary = new Bounded(64);
      binary.push(Buffer.alloc(1_000, 0x80));
      expect(binary.read().cutBytes).toBe(1_000 - 64 + 3);
      const { sh } = await machine({ outputBytes: 64 });
      expect((await sh('head -c 3000000 /dev/zero | tr "\\0" x; echo last'))?.output).toMatch(
        /^x{32}\n… 2999941 bytes …\nx+last\n$/,
      );
      expect((await sh('printf "a\\033[2Jb\\000c\\377"'))?.output).toBe('a\ufffd[2Jb\ufffdc\ufffd');
    });

    test('no file of a step is outside of the machine, not by dots, not by a link', async () => {
      const { root, one } = await machine();
      const outside = `${root}-outside`;
      await mkdir(outside);
      await symlink(outside, join(root, 'link'));
      await symlink(join(outside, 'file'), join(root, 'name'));
      for (const path of ['../x', '/etc/x', 'a/../../x', '.', '', 'link/x', 'link/new/x']) {
        const report = await one({ file: { path: path || '{{none}}', content: 'x' } });
        expect([path, report?.state]).toEqual([path, 'failed']);
      }
      // A link in the place of the file itself is replaced, not followed, whatever it leads to.
      await writeFile(join(outside, 'file'), 'mine');
      expect((await one({ file: { path: 'name', content: 'mine' } }))?.state).toBe('changed');
      expect((await lstat(join(root, 'name'))).isFile()).toBe(true);
      expect([await read(root, 'name'), await readdir(outside)]).toEqual(['mine', ['file']]);
    });

    test('a file makes the folders that it is in, however deep, and a check makes none of them', async () => {
      const { root, play } = await machine();
      const path = 'a/b/c/d/e/f/g/h/i/file';
      const deep = [{ name: 'one', file: { path, content: 'x' } }];
      expect([(await play(deep, true))[0]?.state, await readdir(root)]).toEqual(['changed', []]);
      expect([(await play(deep))[0], await read(root, path)]).toMatchObject([{ state: 'changed', note: '' }, 'x']);
      // As long a name as there can be.
      expect((await play([{ name: 'one', file: { path: 'n'.repeat(255), content: 'x' } }]))[0]?.note).toBe('');
    });

    test('a file that cannot be written fails its step, in a check too where it can be known, and leaves nothing', async () => {
      const { root, one, play } = await machine();
      const name = 'n'.repeat(300);
      expect((await play([{ name: 'one', file: { path: name, content: 'x' } }], true))[0]).toMatchObject({
        state: 'failed',
        note: expect.stringContaining('ENAMETOOLONG'),
      });
      await mkdir(join(root, 'folder/full'), { recursive: true });
      expect(await one({ file: { path: 'folder', content: 'x' } })).toMatchObject({ state: 'failed' });
      expect(await readdir(root)).toEqual(['folder']);
    });

    test('a machine may be the whole file system, and values make no text longer than a step may have', async () => {
      const steps = [{ name: 'one', file: { path: 'no/such/file', content: '' } }];
      const job = { run: RUN, check: true, steps: parseRunbook({ name: 'x', steps }).steps, vars: {}, secrets: {} };
      expect(await new Machine({ root: '/' }).run(job, new AbortController().signal)).toMatchObject([
        { state: 'changed' },
      ]);
      const { one } = await machine({ vars: { big: '€'.repeat(30_000) } });
      const file = (times: number) => one({ file: { path: 'x', content: '{{big}}'.repeat(times) } });
      const states = [(await file(2))?.state, (await file(2))?.state, (await file(3))?.state];
      expect(states).toEqual(['changed', 'ok', 'failed']);
      // Nor is a file read that is larger than what any step may have, such as a disk's picture.
      const large = await machine();
      await writeFile(join(large.root, 'large'), Buffer.alloc(2 ** 18));
      expect(await large.it['look']('large')).toMatchObject({ content: undefined });
      await truncate(join(large.root, 'large'), 2 ** 18 - 1);
      expect((await large.it['look']('large'))?.content).toHaveLength(2 ** 18 - 1);
    });

    test('a step has nothing of the environment of its agent', async () => {
      vi.stubEnv('OPS_TOKEN', 'the-agents-own');
      onTestFinished(() => void vi.unstubAllEnvs());
      const { sh, root } = await machine();
      const report = await sh('env; pwd');
      expect(report?.output).not.toContain('the-agents-own');
      expect(report?.output).toContain(`HOME=${root}`);
    });

    test('a program that is not there, that a signal ends, or that takes too long fails its step, and it says why', async () => {
      const { one, sh } = await machine();
      expect(await one({ command: { argv: ['/no/such'] } })).toMatchObject({
        state: 'failed',
        note: expect.stringContaining('ENOENT'),
      });
      expect(await sh('exit 3')).toMatchObject({ state: 'failed', note: 'The program has ended with 3.' });
      expect(await sh('kill -9 $$')).toMatchObject({ state: 'failed', note: 'The program was ended by SIGKILL.' });
      const slow = await one({ timeoutMs: 50, command: { argv: ['sleep', '60'] } });
      expect(slow).toMatchObject({ state: 'failed', note: 'It was not done in 50 ms.' });
      expect(await one({ command: { argv: ['echo', '{{ nothing }}'] } })).toMatchObject({
        state: 'failed',
        note: expect.stringContaining('{{ nothing }}'),
      });
      expect(await one({ command: { argv: ['echo', '{{__proto__}}{{constructor}}'] } })).toMatchObject({
        state: 'failed',
      });
    });

    test('what a command leaves behind ends with it, and keeps nobody waiting', async () => {
      const { sh, root } = await machine();
      const { value } = await outcome(sh('echo $$ > pid; sleep 60 & echo done'), 3_000);
      expect(value).toMatchObject({ state: 'changed', output: 'done\n' });
      await until(async () => (await runningIn(Number(await read(root, 'pid')))).length === 0, {
        what: 'the rest to end',
      });
      // One that has left the group is out of reach, but holds nothing up.
      const away = await outcome(sh('setsid sleep 5 & echo away'), 3_000);
      expect(away.value).toMatchObject({ state: 'changed', output: 'away\n' });
    });

    test('whoever is ended has time to tidy up, though its parent is gone, and the agent goes on meanwhile', async () => {
      const { root, play } = await machine({ graceMs: 5_000 });
      const tidies =
        'trap "touch asked; until [ -e go ]; do sleep 0.01; done; touch tidy; exit" TERM; touch ready; sleep 60 & wait';
      const cancel = new AbortController();
      const ended = play(runs(['sh', '-c', `(${tidies}) & wait`]), false, cancel.signal);
      await until(() => read(root, 'ready').then(() => true), { what: 'the child to be there' });
      cancel.abort(new Error('It was cancelled.'));
      await until(() => read(root, 'asked').then(() => true), { what: 'the child to be asked' });
      await writeFile(join(root, 'go'), '');
      expect(await ended).toMatchObject([{ state: 'failed', note: 'It was cancelled.' }]);
      expect(await readdir(root)).toContain('tidy');
    });

    test('a service goes on, is started anew when its command is another one or it has ended, and is stopped', async () => {
      const { one, play, root } = await machine();
      const till = (wait: string, state = 'running') => one({ service: { argv: ['sleep', wait], state } });
      const pid = async (): Promise<number> => JSON.parse(await read(root, '.services/one')).pid;
      expect([(await till('60'))?.state, (await till('60'))?.state]).toEqual(['changed', 'ok']);
      const first = await pid();
      // Its words may be secrets, and its log is no other service's record.
      expect((await lstat(join(root, '.services/one'))).mode & 0o777).toBe(0o600);
      const named = { name: 'one.log', service: { argv: ['sh', '-c', 'sleep 60; exit'] } };
      expect((await play([named]))[0]?.state).toBe('changed');
      expect((await play([named]))[0]?.state).toBe('ok');
      await play([{ ...named, service: { ...named.service, state: 'stopped' } }]);
      expect((await till('61'))?.state).toBe('changed');
      const second = await pid();
      expect([await runningIn(first), (await runningIn(second)).length]).toEqual([[], 1]);
      process.kill(second, 'SIGKILL');
      await until(async () => (await runningIn(second)).length === 0);
      expect([
        (await till('61'))?.state,
        (await till('61', 'stopped'))?.state,
        (await till('61', 'stopped'))?.state,
      ]).toEqual(['changed', 'changed', 'ok']);
    });

    test('a service that is stopped has ended by then, however long the system takes to end it', async () => {
      const { one, root } = await machine({ graceMs: 0 });
      const argv = ['sh', '-c', 'trap "" TERM; echo $$ > pid; sleep 60'];
      await one({ service: { argv } });
      const pid = Number(await read(root, 'pid'));
      const kill = process.kill.bind(process);
      const slow = vi.spyOn(process, 'kill').mockImplementation((to, signal) => {
        if (signal !== 'SIGKILL') return kill(to, signal);
        setTimeout(kill, 100, to, signal);
        return true;
      });
      onTestFinished(() => slow.mockRestore());
      expect((await one({ service: { argv, state: 'stopped' } }))?.state).toBe('changed');
      expect(await runningIn(pid), 'processes that have not ended').toEqual([]);
    });

    test('a service is the process that was started, and no other of its number or its command', async () => {
      const { one, play, root } = await machine();
      const till = (state = 'running') => one({ service: { argv: ['sleep', '61'], state } });
      const record = join(root, '.services/one');
      const twin = { name: 'twin', service: { argv: ['sleep', '61'] } };
      await till();
      await play([twin]);
      const [mine, other] = [await read(record), await read(root, '.services/twin')];
      const isNone = async (o: object) => {
        await writeFile(record, JSON.stringify({ ...JSON.parse(mine), ...o }));
        expect((await till('stopped'))?.state, JSON.stringify(o)).toBe('ok');
      };
      // Another service of the same command, begun later.
      await isNone({ pid: JSON.parse(other).pid });
      // A number that somebody else has by now: nobody ends him.
      await isNone({ pid: process.pid, born: '1' });
      // One that has ended, and whose parent has not asked how.
      const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
      onTestFinished(() => end(parent));
      const [pid] = await once(createInterface({ input: parent.stdout }), 'line');
      // A shell would ask.
      await until(async () => (await read(`/proc/${parent.pid}/comm`)).startsWith('sleep'));
      process.kill(Number(pid), 'SIGKILL');
      const born = await until(async () => {
        const status = await read(`/proc/${pid}/stat`);
        return status.includes(') Z ') && status.split(' ')[21];
      });
      await isNone({ pid: Number(pid), born });
      await writeFile(record, mine);
      expect([(await till())?.state, (await till('stopped'))?.state]).toEqual(['ok', 'changed']);
      await play([{ ...twin, service: { ...twin.service, state: 'stopped' } }]);
    });

    test('a service that ends at once has failed, and so has what was skipped', async () => {
      const { one } = await machine();
      const none = await one({ service: { argv: ['/no/such'] } });
      expect(none).toMatchObject({ state: 'failed', note: expect.stringContaining('ENOENT') });
      const ends = await one({ service: { argv: ['sh', '-c', 'exit 3'] } });
      expect(ends).toMatchObject({ state: 'failed', note: expect.stringContaining('ended at once (3)') });
      const skipped = { name: 'a', state: 'skipped', note: '', output: '' } as const;
      expect(lab.stateOf(['a', 'b'], [skipped, { ...skipped, name: 'b', state: 'ok' }])).toBe('failed');
    });

    test('a service that nobody would know of has failed, and is ended', async () => {
      const { one, root } = await machine();
      // In the place of its record is something else.
      await mkdir(join(root, '.services/one'), { recursive: true });
      const report = await one({ service: { argv: ['sh', '-c', 'echo $$ > pid; sleep 60'] } });
      expect(report).toMatchObject({ state: 'failed', note: expect.stringContaining('EISDIR') });
      const pid = Number(await read(root, 'pid'));
      await until(async () => (await runningIn(pid)).length === 0, { what: 'the service to end' });
    });

    // ── runs ──

    test('a cancel ends what runs and begins nothing more', { timeout: patient(20_000) }, async () => {
      const chain = await open();
      const [first] = await Promise.all(['till0', 'till1', 'till2'].map((name) => chain.till(name)));
      chain.lead();
      await chain.ops.putRunbook('mo', {
        name: 'long',
        batch: 1,
        steps: runs(['sh', '-c', 'echo $$ > pid; echo in; sleep 60']),
      });
      const id = await chain.ops.start('mo', { runbook: 'long', target: 'all' });
      await until(async () => (await chain.view(id)).jobs[0]?.reports[0]?.output === 'in\n', {
        what: 'the output to be seen',
      });
      await chain.ops.cancel('mo', id);
      const run = await chain.ended(id);
      expect([run.state, statesOf(run)]).toEqual(['cancelled', { failed: 1, skipped: 2 }]);
      expect(run.jobs[0]?.reports).toMatchObject([{ state: 'failed', note: 'It was cancelled.' }]);
      expect(await runningIn(Number(await read(first?.root ?? '', 'pid')))).toEqual([]);
      expect((await outcome(chain.ops.cancel('mo', id))).error).toBeInstanceOf(NotFoundError);
    });

    test('an agent that starts anew has lost its job; an answer that got lost is given again; a late word changes nothing', async () => {
      const chain = await open();
      await chain.host('till');
      chain.lead({ silentMs: 60_000 });
      await chain.ops.putRunbook('mo', { name: 'r', steps: runs(['true']) });
      const id = await chain.ops.start('mo', { runbook: 'r', target: 'till' });
      const next = (session: string) => chain.ops.next('till', session);
      const job = await until(() => next('one'), { what: 'the job' });
      expect([await next('one'), await next('two'), await next('one')]).toEqual([job, undefined, undefined]);
      const done = [{ name: 'one', state: 'ok', note: '', output: '' }] as const;
      const late = await chain.ops.beat('till', 'one', { run: id, reports: done, done: true });
      expect([late, statesOf(await chain.ended(id))]).toEqual([{ cancel: true }, { unknown: 1 }]);
      // Nor does one that says it is done, and has not said of which steps.
      const again = await chain.ops.start('mo', { runbook: 'r', target: 'till' });
      await until(() => next('two'));
      await chain.ops.beat('till', 'two', { run: again, reports: [], done: true });
      expect(statesOf(await chain.ended(again))).toEqual({ unknown: 1 });
    });

    test('one whose signs of life come is not given up, however long it takes; who stays away is not given the job later', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      await chain.till('slow');
      await chain.host('away');
      chain.lead({ silentMs: 800 });
      const run = await chain.play(runs(['sleep', '1.6']), { maxFailedPercent: 50 });
      // Who works is heard of, too.
      const seen = new Map((await chain.ops.hosts()).map(({ name, seenMs }) => [name, seenMs]));
      expect([seen.get('away'), (seen.get('slow') ?? 1e9) < 1_500]).toEqual([undefined, true]);
      expect([run.state, run.jobs.map(({ state }) => state)]).toEqual(['done', ['unknown', 'changed']]);
      expect(await chain.ops.next('away', 'late')).toBeUndefined();
    });

    test('an agent that is ended has ended what it ran', async () => {
      const chain = await open();
      const { root, agent } = await chain.till('till');
      chain.lead();
      const deaf = 'trap "" TERM; echo $$ > pid; sleep 60';
      await chain.ops.putRunbook('mo', { name: 'r', steps: runs(['sh', '-c', deaf]) });
      await chain.ops.start('mo', { runbook: 'r', target: 'till' });
      const pid = Number(await until(() => read(root, 'pid'), { what: 'the step to begin' }));
      await agent[Symbol.asyncDispose]();
      expect(await runningIn(pid)).toEqual([]);
    });

    test('an agent says how it goes once a beat, and its last word at once', async () => {
      const chain = await open();
      const { root, token } = await chain.host('till');
      const beat = vi.spyOn(chain.ops, 'beat');
      onTestFinished(() => void vi.restoreAllMocks());
      const { url } = chain;
      const agent = new lab.Agent({ url, token, machine: new Machine({ root }), beatMs: 60_000, onError: () => {} });
      onTestFinished(() => agent[Symbol.asyncDispose]());
      chain.lead();
      expect(statesOf(await chain.play(runs(['sleep', '0.1'])))).toEqual({ changed: 1 });
      expect(beat.mock.calls.map(([, , { done }]) => done)).toEqual([true]);
    });

    test('of a controller that fails or is silent the agent says so, and asks again after its pause', async () => {
      let asked = 0;
      let askedByPatient = 0;
      const office = createServer((request, response) => {
        if (request.headers.authorization === 'Bearer patient') {
          askedByPatient += 1;
          return void response.writeHead(500).end();
        }
        asked += 1;
        if (asked === 1) response.writeHead(500).end();
        if (asked === 2) response.writeHead(401).end();
      });
      await once(office.listen(0, '127.0.0.1'), 'listening');
      onTestFinished(() => void office.close().closeAllConnections());
      const address = office.address();
      const url = `http://127.0.0.1:${typeof address === 'object' && address?.port}`;
      const errors: unknown[] = [];
      const onError = (error: unknown) => void errors.push(error);
      const machine = new Machine({ root: folder.path });
      const patient = new lab.Agent({ url, token: 'patient', machine, retryMs: 60_000, onError: () => {} });
      onTestFinished(() => patient[Symbol.asyncDispose]());
      await until(() => askedByPatient > 0, { what: 'one who waits after a failure' });
      const agent = new lab.Agent({ url, token: 'x', machine, timeoutMs: 100, retryMs: 5, onError });
      onTestFinished(() => agent[Symbol.asyncDispose]());
      await until(() => errors.length > 2, { what: 'three failures' });
      expect(askedByPatient).toBe(1);
      const away = { name: 'ControllerUnavailableError', status: 502 };
      expect(errors.slice(0, 3)).toMatchObject([away, { name: 'UnknownTokenError', status: 401 }, away]);
    });

    test('what was done while no controller was there is heard when one is back', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      const { root, token } = await chain.host('till');
      const serve = async (port: number) => {
        const api = lab.opsApi(chain.ops, { onError: () => {}, pollMs: 100 });
        onTestFinished(() => api.close());
        return { api, url: await api.app.listen({ host: '127.0.0.1', port }) };
      };
      const { api, url } = await serve(0);
      const errors: unknown[] = [];
      const onError = (error: unknown) => void errors.push(error);
      const agent = new lab.Agent({ url, token, machine: new Machine({ root }), beatMs: 20, retryMs: 20, onError });
      onTestFinished(() => agent[Symbol.asyncDispose]());
      chain.lead();
      const line = 'touch begun; until [ -e go ]; do sleep 0.01; done';
      await chain.ops.putRunbook('mo', { name: 'r', steps: runs(['sh', '-c', line]) });
      const id = await chain.ops.start('mo', { runbook: 'r', target: 'till' });
      await until(() => read(root, 'begun').then(() => true));
      await api.close();
      await writeFile(join(root, 'go'), '');
      await until(() => errors.length > 2, { what: 'the agent to be heard by nobody' });
      await serve(Number(new URL(url).port));
      expect(statesOf(await chain.ended(id))).toEqual({ changed: 1 });
    });

    test('whatever was said to be done has been done, though agents are killed and started anew', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      const { root, token } = await chain.host('killed');
      const child = await chain.agent(root, token);
      const stays = await chain.till('stays');
      chain.lead({ silentMs: 2_000 });
      const line = 'touch begun; until [ -e go ]; do sleep 0.01; done; touch done';
      await chain.ops.putRunbook('mo', {
        name: 'r',
        batch: '100%',
        maxFailedPercent: 100,
        steps: runs(['sh', '-c', line]),
      });
      const id = await chain.ops.start('mo', { runbook: 'r', target: 'all' });
      await until(() => Promise.all([root, stays.root].map((it) => read(it, 'begun'))).then(() => true));
      await end(child);
      await chain.agent(root, token);
      await writeFile(join(stays.root, 'go'), '');
      const run = await chain.ended(id);
      expect(run.jobs.map(({ state }) => state)).toEqual(['unknown', 'changed']);
      expect(await read(stays.root, 'done')).toBe('');
    });

    test('a job that waits for another one of its host is not lost while the host is heard', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      const { ops, pool } = chain;
      const { root } = await chain.till('till');
      chain.lead();
      const line = 'touch begun; until [ -e go ]; do sleep 0.01; done';
      await ops.putRunbook('mo', { name: 'long', steps: runs(['sh', '-c', line]) });
      await ops.putRunbook('mo', { name: 'short', steps: runs(['true']) });
      const long = await ops.start('mo', { runbook: 'long', target: 'till' });
      await until(() => read(root, 'begun').then(() => true));
      const short = await ops.start('mo', { runbook: 'short', target: 'till' });
      const aged = "UPDATE ops_jobs SET since = since - interval '1 min' WHERE run = $1 AND state = 'queued'";
      await until(async () => (await pool.query(aged, [short])).rowCount, { what: 'the second job to wait' });
      expect(await ops['run']((tx) => ops.lose(tx, 30_000)), 'jobs of a host that is heard, given up').toBe(0);
      await writeFile(join(root, 'go'), '');
      const both = [statesOf(await chain.ended(long)), statesOf(await chain.ended(short))];
      expect(both).toEqual([{ changed: 1 }, { changed: 1 }]);
    });

    test('whoever could not be heard, since nobody was there to hear, is not silent', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      await chain.host('till');
      await chain.host('away');
      await chain.ops.putRunbook('mo', { name: 'r', batch: '100%', maxFailedPercent: 100, steps: runs(['true']) });
      const id = await chain.ops.start('mo', { runbook: 'r', target: 'all' });
      const before = chain.lead({ silentMs: 60_000 });
      const job = await until(() => chain.ops.next('till', 's'), { what: 'the job' });
      await before[Symbol.asyncDispose]();
      // As if the office had been closed for an hour.
      await chain.pool.query("UPDATE ops_jobs SET since = since - interval '1 h'");
      await chain.pool.query("UPDATE ops_leases SET ends = now() - interval '1 s'");
      chain.lead({ silentMs: 1_000 });
      await until(
        async () => (await chain.pool.query('SELECT FROM ops_leases WHERE ends > clock_timestamp()')).rowCount,
      );
      const reports = [{ name: 'one', state: 'ok', note: '', output: '' }] as const;
      expect(await chain.ops.beat('till', 's', { run: job.run, reports, done: true })).toEqual({ cancel: false });
      expect((await chain.ended(id)).jobs.map(({ state }) => state)).toEqual(['unknown', 'ok']);
    });

    test('a report that is too long for what stands between is given without its output, and nothing is done twice', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      const { root, token } = await chain.host('till');
      let limit = 2_000;
      const proxy = createServer(async (request, response) => {
        const body = await text(request);
        if (body.length > limit) return void response.writeHead(413).end();
        const headers = { 'content-type': 'application/json', authorization: request.headers.authorization ?? '' };
        const answer = await fetch(chain.url + request.url, { method: 'POST', headers, body });
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
      });
      await once(proxy.listen(0, '127.0.0.1'), 'listening');
      onTestFinished(() => void proxy.close().closeAllConnections());
      const address = proxy.address();
      const url = `http://127.0.0.1:${typeof address === 'object' && address?.port}`;
      const machine = new Machine({ root });
      const agent = new lab.Agent({ url, token, machine, beatMs: 20, retryMs: 20, onError: () => {} });
      onTestFinished(() => agent[Symbol.asyncDispose]());
      chain.lead({ silentMs: 1_500 });
      const long = runs(['sh', '-c', 'echo x >> times; head -c 5000 /dev/zero | tr "\\0" x']);
      const run = await chain.play(long);
      expect(run.jobs).toMatchObject([{ state: 'changed', reports: [{ output: '' }] }]);
      // Not even so: nobody knows, and it is not begun again.
      limit = 100;
      expect((await chain.play(long)).jobs).toMatchObject([{ state: 'unknown' }]);
      expect(await read(root, 'times')).toBe('x\nx\n');
    });

    test('agents that wait cost no more than one, and a token that was replaced meanwhile gets no job', async () => {
      const chain = await open();
      const hosts = await Promise.all(Array.from({ length: 20 }, (_, n) => chain.host(`till${n}`)));
      const api = lab.opsApi(chain.ops, { onError: () => {}, pollMs: patient(1_000) });
      onTestFinished(() => api.close());
      const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
      const next = vi.spyOn(chain.ops, 'next');
      const look = vi.spyOn(chain.ops, 'queued');
      onTestFinished(() => void vi.restoreAllMocks());
      const ask = async (token = '') => {
        const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
        const body = JSON.stringify({ session: 's' });
        return (await fetch(`${url}/agent/next`, { method: 'POST', headers, body })).status;
      };
      const asked = Promise.all(hosts.map(({ token }) => ask(token)));
      await until(() => next.mock.calls.length === 20, { what: 'all to wait' });
      const first = ask(hosts[0]?.token);
      await until(() => next.mock.calls.length === 21, { what: 'one more' });
      await chain.ops.addHost('mo', { name: 'till0' });
      await chain.ops.putRunbook('mo', { name: 'r', steps: runs(['true']) });
      await chain.ops.start('mo', { runbook: 'r', target: 'till0' });
      await chain.pool.query("UPDATE ops_jobs SET state = 'queued', since = clock_timestamp()");
      expect([await first, (await asked).filter((status) => status !== 200)]).toEqual([401, [401]]);
      expect(next.mock.calls.length).toBe(21);
      expect(look.mock.calls.length).toBeLessThan(40);
    });

    // ── the leader ──

    test('schedules: of those that were missed one is made up for or none, and the next is on the grid', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      await chain.host('till');
      await chain.ops.putRunbook('mo', { name: 'r', steps: runs(['true']) });
      const first = new Date(Date.now() - 10_500 * 1_000);
      const base = { runbook: 'r', target: 'till', everyMs: 1_000_000, first };
      await chain.ops.putSchedule('mo', { ...base, name: 'once' });
      await chain.ops.putSchedule('mo', { ...base, name: 'skip', missed: 'skip' });
      await chain.ops.putSchedule('mo', { ...base, name: 'late', missed: 'skip', first: new Date(Date.now() - 1_000) });
      // Its runbook is there and its host is gone: it keeps no other from its time.
      await chain.ops.putSchedule('mo', { ...base, name: 'a-broken', target: 'nowhere' });
      chain.lead();
      const started = async () => (await chain.ops.runs()).map(({ actor }) => actor).toSorted();
      await until(async () => (await started()).length === 2, { what: 'two runs' });
      await until(() => chain.errors.length > 1, { what: 'the broken one to be told of twice' });
      expect(await started()).toEqual(['schedule: late', 'schedule: once']);
      expect(chain.errors[0]).toBeInstanceOf(NotFoundError);
      const { rows } = await chain.pool.query(
        `SELECT name, next > clock_timestamp() AS ahead, extract(epoch FROM next - $1)::float8 AS s FROM ops_schedules WHERE name IN ('once', 'skip') ORDER BY name`,
        [first],
      );
      expect(rows).toEqual(['once', 'skip'].map((name) => ({ name, ahead: true, s: 11_000 })));
    });

    test('a controller ends after what is under way', async () => {
      const { ops, pool } = await open();
      const gate = await pool.connect();
      onTestFinished(() => gate.release(true));
      await gate.query('BEGIN; LOCK TABLE ops_leases IN SHARE MODE');
      const acquire = vi.spyOn(ops, 'acquire');
      onTestFinished(() => void vi.restoreAllMocks());
      const controller = new Controller({ ops, onError: () => {} });
      const order: string[] = [];
      const asked = acquire.mock.results[0]?.value.then(() => order.push('what was under way'));
      const ended = controller[Symbol.asyncDispose]().then(() => order.push('the controller'));
      const waits = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'ops_leases'::regclass";
      await until(async () => (await gate.query(waits)).rowCount === 1, { what: 'a round to be under way' });
      await gate.query('ROLLBACK');
      await Promise.all([asked, ended]);
      expect(order).toEqual(['what was under way', 'the controller']);
    });

    test('a controller asks Postgres once a round', async () => {
      const { ops } = await open();
      const acquire = vi.spyOn(ops, 'acquire');
      onTestFinished(() => void vi.restoreAllMocks());
      const rounds = (leaseMs: number) => acquire.mock.calls.filter(([, ms]) => ms === leaseMs).length;
      const slow = new Controller({ ops, leaseMs: 1_001, everyMs: 60_000, onError: () => {} });
      onTestFinished(() => slow[Symbol.asyncDispose]());
      await until(() => rounds(1_001) > 0);
      const quick = new Controller({ ops, leaseMs: 1_002, everyMs: 5, onError: () => {} });
      onTestFinished(() => quick[Symbol.asyncDispose]());
      await until(() => rounds(1_002) > 5, { what: 'rounds of the other' });
      expect(rounds(1_001)).toBe(1);
    });

    test('two controllers at once start a schedule once, and go on when one of them ends', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      await chain.host('till');
      await chain.ops.putRunbook('mo', { name: 'r', steps: runs(['true']) });
      const first = chain.lead({ leaseMs: 300 });
      chain.lead({ leaseMs: 300 });
      const put = (name: string) =>
        chain.ops.putSchedule('mo', { name, runbook: 'r', target: 'till', everyMs: 1e9, first: new Date(0) });
      const count = async () => (await chain.ops.runs()).length;
      await put('one');
      await until(async () => (await count()) === 1);
      await first[Symbol.asyncDispose]();
      await put('two');
      await until(async () => (await count()) === 2);
      expect([await count(), chain.errors]).toEqual([2, []]);
    });

    test('a controller whose connections are ended goes on, and a Postgres that is away is an error that says so', {
      timeout: patient(20_000),
    }, async () => {
      const chain = await open();
      await chain.till('till');
      chain.lead();
      expect((await chain.play(runs(['true']))).state).toBe('done');
      const admin = new Pool({ connectionString: postgres.url, max: 1 });
      admin.on('error', () => {});
      onTestFinished(() => admin.end());
      await admin.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
      );
      const id = await until(() => chain.ops.start('mo', { runbook: 'play', target: 'till' }).catch(() => undefined));
      expect((await chain.ended(id)).state).toBe('done');
      const away = new Pool({ connectionString: 'postgres://127.0.0.1:1/none' });
      onTestFinished(() => away.end());
      const ops = new Ops({ pool: away });
      for (const call of [
        () => ops.runs(),
        () => ops.acquire('A', 1),
        () => ops.hosts(),
        () => ops.allow('x', 'look'),
      ]) {
        expect((await outcome<unknown>(call())).error).toBeInstanceOf(StoreUnavailableError);
      }
    });

    test('a call that Postgres ends half-way says so, and nothing of it is written', {
      timeout: patient(20_000),
    }, async () => {
      const { ops, pool } = await open();
      const book = { name: 'r', batch: 1, steps: runs(['true']) };
      for (const name of ['a', 'b']) await ops.addHost('mo', { name });
      await ops.putRunbook('mo', book);
      await ops.putRule('mo', { alert: 'Down', runbook: 'r', cooldownMs: 0 });
      const schedule = { name: 's', runbook: 'r', target: 'a', everyMs: 1_000, first: new Date(0) };
      await ops.putSchedule('mo', schedule);
      const fence = (await ops.acquire('A', 60_000)) ?? 0n;
      const begun = await ops.start('mo', { runbook: 'r', target: 'a' });
      await ops.lead(fence, (tx) => ops.advance(tx));
      await ops.next('a', 'session');
      const [due] = await ops.due();
      if (!due) throw new Error('nothing is due');
      const cancelled = await ops.start('mo', { runbook: 'r', target: 'b' });
      await ops.cancel('mo', cancelled);
      const alert = { status: 'firing', fingerprint: 'f', labels: { alertname: 'Down', host: 'a' } } as const;
      const done = [{ name: 'one', state: 'ok', note: '', output: '' }] as const;
      const viewer = await ops.addUser('mo', 'vi', 'viewer');
      const calls: [call: () => Promise<unknown>, ...tables: string[]][] = [
        [() => ops.allow(viewer, 'change'), 'audit'],
        [() => ops.addUser('mo', 'new', 'viewer'), 'users', 'audit'],
        [() => ops.addHost('mo', { name: 'new' }), 'hosts', 'audit'],
        [() => ops.putRunbook('mo', { ...book, name: 'new' }), 'runbooks', 'audit'],
        [() => ops.putSchedule('mo', { ...schedule, name: 'new' }), 'schedules', 'audit'],
        [() => ops.putRule('mo', { alert: 'New', runbook: 'r', cooldownMs: 0 }), 'rules', 'audit'],
        [() => ops.remove('mo', 'hosts', 'b'), 'hosts', 'audit'],
        [() => ops.forget('mo', 0), 'runs', 'jobs', 'audit'],
        [() => ops.start('mo', { runbook: 'r', target: 'all' }), 'runs', 'jobs', 'audit'],
        [() => ops.cancel('mo', begun), 'runs', 'audit'],
        [() => ops.alert('mo', [alert]), 'alerts', 'runs', 'audit'],
        [() => ops.acquire('A', 1_000), 'leases'],
        [() => ops.lead(fence, (tx) => ops.fire(tx, due)), 'schedules', 'runs', 'audit'],
        [() => ops.lead(fence, (tx) => ops.fire(tx, { ...due, skip: true })), 'schedules', 'audit'],
        [() => ops.lead(fence, (tx) => ops.lose(tx, 1)), 'jobs'],
        [() => ops.lead(fence, (tx) => ops.advance(tx)), 'jobs', 'runs', 'audit'],
        [() => ops.next('a', 'session'), 'hosts', 'jobs'],
        [() => ops.beat('a', 'session', { run: begun, reports: done, done: true }), 'hosts', 'jobs'],
      ];
      const tables = ['users', 'hosts', 'runbooks', 'schedules', 'rules', 'alerts', 'runs', 'jobs', 'audit', 'leases'];
      const all = tables.map((table) => `(SELECT json_agg(t ORDER BY t::text) FROM ops_${table} t)`);
      const written = async () => (await pool.query({ text: `SELECT ${all}`, rowMode: 'array' })).rows;
      const before = await written();
      const gate = await pool.connect();
      onTestFinished(() => gate.release(true));
      for (const [call, ...locked] of calls) {
        for (const table of locked) {
          const what = `${call}, at ops_${table}`;
          // Who reads goes on, who writes waits, and is ended there.
          await gate.query(`BEGIN; LOCK TABLE ops_${table} IN SHARE MODE`);
          const asked = outcome(call());
          const end = `SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'ops_${table}'::regclass`;
          await until(async () => ((await gate.query(end)).rowCount ?? 0) > 0, { what });
          expect((await asked).error, what).toMatchObject({ code: '57014' });
          await gate.query('ROLLBACK');
        }
        expect(await written(), String(call)).toEqual(before);
      }
      // The last word of an agent is its reports and the state of its job, or neither.
      await pool.query("ALTER TABLE ops_jobs ADD CHECK (state <> 'ok') NOT VALID");
      const { error } = await outcome(ops.beat('a', 'session', { run: begun, reports: done, done: true }));
      expect([error, await written()]).toMatchObject([{ code: '23514' }, before]);
    });

    test('an alert is for its host alone, whoever has a tag of that name, and what has no name starts nothing', async () => {
      const { ops } = await open();
      await ops.addHost('mo', { name: 'milk' });
      for (const name of ['a', 'b']) await ops.addHost('mo', { name, tags: ['milk'] });
      await ops.putRunbook('mo', { name: 'r', steps: runs(['true']) });
      await ops.putRule('mo', { alert: 'Down', runbook: 'r', cooldownMs: 0 });
      const down = (fingerprint: string, host: string) => {
        return { status: 'firing', fingerprint, labels: { alertname: 'Down', host } } as const;
      };
      const hosts = ['all', 'a\0', '', 'milk'];
      const started = await ops.alert(
        'monitoring',
        hosts.map((host, n) => down(`f${n}`, host)),
      );
      expect(started).toEqual([undefined, undefined, undefined, expect.any(String)]);
      expect((await ops.runs())[0]?.jobs.map(({ host }) => host)).toEqual(['milk']);
      const over = AbortSignal.abort(new Error('over'));
      expect((await outcome(ops.alert('monitoring', [down('g', 'a')], over))).error).toEqual(new Error('over'));
      expect(await ops.runs()).toHaveLength(1);
    });

    test('what is taken away is no more: a token opens nothing, a host has no job, a schedule is not due', async () => {
      const chain = await open();
      const { ops } = chain;
      const [admin, viewer] = [await ops.addUser('setup', 'ad', 'admin'), await ops.addUser('setup', 'vi', 'viewer')];
      const [gone, stays] = [await ops.addHost('mo', { name: 'gone' }), await ops.addHost('mo', { name: 'stays' })];
      await ops.putRunbook('mo', { name: 'r', steps: runs(['true']) });
      await ops.putSchedule('mo', { name: 's', runbook: 'r', target: 'all', everyMs: 1_000, first: new Date(0) });
      const remove = async (token: string, path: string) => {
        const headers = { authorization: `Bearer ${token}` };
        return (await fetch(chain.url + path, { method: 'DELETE', headers })).status;
      };
      expect(await remove(viewer, '/hosts/gone')).toBe(403);
      // A schedule has it.
      expect(await remove(admin, '/runbooks/r')).toBe(400);
      const paths = ['/hosts/gone', '/users/vi', '/schedules/s', '/audit/1', '/hosts/gone'];
      const statuses: number[] = [];
      for (const path of paths) statuses.push(await remove(admin, path));
      expect(statuses).toEqual([200, 200, 200, 422, 404]);
      expect((await outcome(ops.hostOf(gone))).error).toBeInstanceOf(UnknownTokenError);
      expect((await outcome(ops.allow(viewer, 'look'))).error).toBeInstanceOf(UnknownTokenError);
      expect([await ops.hostOf(stays), await ops.due()]).toEqual(['stays', []]);
      const over = await ops.start('mo', { runbook: 'r', target: 'all' });
      const still = await ops.start('mo', { runbook: 'r', target: 'all' });
      expect((await ops.runs(1, still))[0]?.jobs.map(({ host }) => host)).toEqual(['stays']);
      await chain.pool.query("UPDATE ops_runs SET state = 'done' WHERE id = $1", [over]);
      expect([await ops.forget('mo', 60_000), await ops.forget('mo', 0)]).toEqual([0, 1]);
      expect((await ops.runs()).map(({ id }) => id)).toEqual([still]);
      expect(ops.audit.verify(await ops.auditEntries())).toMatchObject({ intact: true });
    });

    test('the live view says what became of each step of the latest runs, and leaves out what programs said', async () => {
      const chain = await open();
      await chain.till('till');
      chain.lead();
      const token = await chain.ops.addUser('mo', 'mo', 'viewer');
      const steps = [...runs(['echo', 'much']), { name: 'two', command: { argv: ['false'] } }];
      const { id } = await chain.play(steps);
      const headers = { authorization: `Bearer ${token}` };
      const look = async () => {
        let line = '';
        for await (const chunk of (await fetch(`${chain.url}/live`, { headers })).body ?? []) {
          line += Buffer.from(chunk).toString();
          if (line.includes('\n')) break;
        }
        return JSON.parse(line.split('\n')[0] ?? '');
      };
      const reports = [
        { name: 'one', state: 'changed', output: '' },
        { name: 'two', state: 'failed', note: 'The program has ended with 1.' },
      ];
      expect(await look()).toMatchObject({ runs: [{ id, jobs: [{ reports }] }] });
      const whole = await (await fetch(`${chain.url}/runs/${id}`, { headers })).json();
      expect(whole).toMatchObject({ jobs: [{ reports: [{ output: 'much\n' }, {}] }] });
      const later: string[] = [];
      for (let n = 0; n < 8; n++) later.unshift(await chain.ops.start('mo', { runbook: 'play', target: 'till' }));
      expect((await look()).runs.map((run: lab.RunView) => run.id)).toEqual(later);
    });

    // ── who may ──

    test('each role may do what it may; what it may not is refused, and in the log', async () => {
      const { ops } = await open();
      const may = {
        viewer: ['look'],
        operator: ['look', 'run'],
        admin: ['look', 'run', 'change'],
        alerting: ['alert'],
      } as const;
      for (const role of ['viewer', 'operator', 'admin', 'alerting'] as const) {
        const token = await ops.addUser('setup', role, role);
        for (const action of ['look', 'run', 'change', 'alert'] as const) {
          const { value, error } = await outcome(ops.allow(token, action));
          if (may[role].some((it) => it === action)) expect(value).toBe(role);
          else expect(error).toBeInstanceOf(ForbiddenError);
        }
      }
      const refused = (await ops.auditEntries()).filter(({ action }) => action === 'refused');
      expect(refused).toHaveLength(9);
      const host = await ops.addHost('mo', { name: 'till' });
      const admin = await ops.addUser('setup', 'admin', 'admin');
      expect((await outcome(ops.allow(host, 'look'))).error).toBeInstanceOf(UnknownTokenError);
      expect((await outcome(ops.hostOf(admin))).error).toBeInstanceOf(UnknownTokenError);
      // A new token is the end of the one before.
      expect(await ops.hostOf(host)).toBe('till');
      await ops.addHost('mo', { name: 'till' });
      expect((await outcome(ops.hostOf(host))).error).toBeInstanceOf(UnknownTokenError);
    });

    test('no token is in the database, and no secret in the log, the live view or a report', async () => {
      const chain = await open();
      const { root } = await chain.till('till', { secrets: { pin: 'geheim-4711' } });
      chain.lead();
      const token = await chain.ops.addUser('mo', 'mo', 'viewer');
      const run = await chain.play(runs(['sh', '-c', 'echo "$1" | tee got', '-', '{{pin}}']));
      expect(await read(root, 'got')).toBe('geheim-4711\n');
      const { rows } = await chain.pool.query('SELECT u::text AS u, h.token FROM ops_users u, ops_hosts h');
      const seen = JSON.stringify([run, await chain.ops.auditEntries(), await chain.ops.hosts(), rows]);
      expect(seen).toContain('•••');
      expect(seen).not.toContain('4711');
      expect(seen).not.toContain(token);
    });

    test('many who write the log at once make one chain, and what was not done is not in it', async () => {
      const { ops } = await open();
      await Promise.all(Array.from({ length: 20 }, (_, n) => ops.addUser('mo', `u${n}`, 'viewer')));
      await outcome(ops.start('mo', { runbook: 'nowhere', target: 'all' }));
      const entries = await ops.auditEntries();
      expect(ops.audit.verify(entries)).toEqual({ intact: true, entries: 20 });
      // So begin all logs that are kept: after another beginning they would be called broken.
      expect(entries[0]?.previous).toMatch(/^0{64}$/);
      expect(ops.audit.verify([], entries[0])).toMatchObject({ intact: false, seq: 1 });
      expect(lab.canonical({ b: [{ d: 1, c: 'x' }], a: null })).toBe('{"a":null,"b":[{"c":"x","d":1}]}');
    });

    test('over HTTP each has its status', async () => {
      const chain = await open();
      const [admin, viewer, alerting] = await Promise.all(
        (['admin', 'viewer', 'alerting'] as const).map((role) => chain.ops.addUser('setup', role, role)),
      );
      const call = async (method: string, path: string, token: string | undefined, body?: unknown) => {
        const headers = {
          ...(token && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        };
        const response = await fetch(chain.url + path, {
          method,
          headers,
          ...(body !== undefined && { body: JSON.stringify(body) }),
        });
        const answer: unknown = await response.json();
        return [response.status, answer] as const;
      };
      const book = { name: 'r', steps: runs(['true']) };
      expect((await call('PUT', '/runbooks', undefined, book))[0]).toBe(401);
      expect((await call('PUT', '/runbooks', 'x', book))[0]).toBe(401);
      expect((await call('PUT', '/runbooks', viewer, book))[0]).toBe(403);
      expect((await call('PUT', '/runbooks', admin, { ...book, steps: [] }))[0]).toBe(400);
      expect(await call('PUT', '/runbooks', admin, book)).toEqual([200, {}]);
      expect(await call('PUT', '/hosts', admin, { name: 'till' })).toEqual([200, { token: expect.any(String) }]);
      expect(
        (
          await call('PUT', '/schedules', admin, { name: 's', runbook: 'r', target: 'all', everyMs: 1, first: 'soon' })
        )[0],
      ).toBe(422);
      const first = '2026-12-01T03:00:00Z';
      expect(
        (await call('PUT', '/schedules', admin, { name: 's', runbook: 'r', target: 'all', everyMs: 1_000, first }))[0],
      ).toBe(200);
      expect((await call('PUT', '/rules', admin, { alert: 'Down', runbook: 'r', cooldownMs: 1_000 }))[0]).toBe(200);
      expect((await call('POST', '/runs', viewer, { runbook: 'r', target: 'all' }))[0]).toBe(403);
      expect((await call('POST', '/runs', admin, { runbook: 'r', target: 'nowhere' }))[0]).toBe(404);
      const [status, started] = await call('POST', '/runs', admin, { runbook: 'r', target: 'all', check: true });
      expect([status, started]).toEqual([201, { id: expect.any(String) }]);
      const [{ id } = { id: '' }] = await chain.ops.runs(1);
      const view = await call('GET', `/runs/${id}`, viewer);
      expect(view).toMatchObject([
        200,
        { runbook: 'r', check: true, actor: 'admin', jobs: [{ host: 'till', state: 'waiting' }] },
      ]);
      expect((await call('GET', `/runs/${RUN}`, viewer))[0]).toBe(404);
      expect((await call('GET', "/runs/'", viewer))[0]).toBe(400);
      expect((await call('POST', `/runs/${id}/cancel`, viewer))[0]).toBe(403);
      expect((await call('POST', `/runs/${id}/cancel`, admin))[0]).toBe(200);
      expect((await call('POST', `/runs/${RUN}/cancel`, admin))[0]).toBe(404);
      const alerts = [
        { status: 'firing', fingerprint: 'f', labels: { alertname: 'Down', host: 'till' }, startsAt: first },
      ];
      const others = [
        { ...alerts[0], fingerprint: 'g', labels: { alertname: 'Other' } },
        { ...alerts[0], fingerprint: 'h', status: 'resolved' },
      ];
      expect(await call('POST', '/alerts', alerting, { version: '4', alerts: [...alerts, ...others] })).toEqual([
        200,
        { started: 1 },
      ]);
      expect((await call('POST', '/alerts', admin, { alerts }))[0]).toBe(403);
      expect(await call('POST', '/audit/verify', viewer)).toMatchObject([200, { intact: true }]);
      await chain.pool.query("UPDATE ops_audit SET detail = '{}' WHERE seq = 2");
      expect(await call('POST', '/audit/verify', viewer)).toMatchObject([200, { intact: false, seq: 2 }]);
      expect((await call('POST', '/agent/next', admin, { session: 's' }))[0]).toBe(401);
      const till = await chain.ops.addHost('mo', { name: 'till' });
      const beat = async (o: object) => {
        return (await call('POST', '/agent/beat', till, { session: 's', run: RUN, reports: [], done: false, ...o }))[0];
      };
      const statuses = [{ session: '' }, { session: 'x' }, { session: 'x'.repeat(64) }, { session: 'x'.repeat(65) }];
      // Whoever has nothing to do is told so after a while.
      const idle = call('POST', '/agent/next', till, { session: 's' });
      expect(await Promise.all(statuses.map(beat))).toEqual([422, 200, 200, 422]);
      expect(await idle).toEqual([200, {}]);
      const most = { name: 's', state: 'ok', note: '', output: 'x'.repeat(20_000) };
      expect([await beat({ reports: new Array(64).fill(most) }), await beat({ run: 'x' })]).toEqual([200, 400]);
      // More than that nobody has to read.
      const large = request(`${chain.url}/agent/beat`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': 2 ** 22 + 1 },
      });
      onTestFinished(() => void large.destroy());
      large.on('error', () => {}).flushHeaders();
      const [refused]: IncomingMessage[] = await once(large, 'response');
      expect(refused?.statusCode).toBe(413);
      const unasked = [new StaleFenceError(1n), new StoreUnavailableError('silent'), new StepFailedError('broken')];
      expect(unasked.map((error) => error.status)).toEqual([409, 503, 500]);
    });
  },
);
