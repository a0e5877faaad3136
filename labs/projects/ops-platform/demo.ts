import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startFolder, startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { patient, until } from '@shared/testkit';
import { Machine as ChildOnly } from './pitfalls/child-only.ts';
import { Ops as NoNews } from './pitfalls/no-news-is-good-news.ts';
import { Machine as Shell } from './pitfalls/shell.ts';
import * as lab from './src/index.ts';
import { Chain, end, statesOf } from './test/chain.ts';
import { isStopped, runningIn } from './test/processes.ts';

const options = {
  title: 'Ops platform 自动化运维平台',
  subtitle: 'A supermarket chain, its tills, and a head office that changes all of them',
  dir: import.meta.dirname,
};
const TILLS = 10;
const { Machine, parseRunbook } = lab;

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const folder = bin.use(await startFolder('scene'));
  const chain = bin.use(await Chain.open({ lab, postgres: pg.url, schema: 'office' }));
  const tills = await Promise.all(
    Array.from({ length: TILLS }, (_, n) =>
      chain.process(`till-${n}`, { tags: ['till'], vars: { shop: `Shop ${n}` } }),
    ),
  );
  // Nobody is silent for so long, on a slow machine neither: that is the subject of a later scene.
  const patientOne = chain.lead({ silentMs: 60_000 });
  const install = (prices: string) => [
    { name: 'prices', file: { path: 'till/prices', content: prices } },
    { name: 'sign', file: { path: 'till/sign', content: 'Welcome to {{shop}}\n' } },
    {
      name: 'selfcheck',
      needs: ['prices'],
      command: { argv: ['grep', '-q', '^milk 1', 'till/prices'], unless: ['cmp', '-s', 'till/prices', 'till/checked'] },
    },
    { name: 'checked', needs: ['selfcheck'], file: { path: 'till/checked', content: prices } },
  ];
  const good = 'milk 1.19\nbread 2.49\n';

  await story.scene('A name that is a command', async () => {
    story.say(
      "A label is printed with the till's name. Somebody has called a till `Till 3; touch pwned`. A shell reads that as two commands; a list of words is a list of words.",
    );
    const vars = { till: 'Till 3; touch pwned' };
    const { steps } = parseRunbook({
      name: 'label',
      steps: [{ name: 'label', command: { argv: ['echo', '{{till}}'] } }],
    });
    const job = { run: crypto.randomUUID(), check: false, steps, vars, secrets: {} };
    const files = async (Kind: typeof Machine, name: string) => {
      const root = join(folder.path, name);
      await mkdir(root);
      const [report] = await new Kind({ root }).run(job, new AbortController().signal);
      return { made: await readdir(root), said: report?.output.trim() };
    };
    const shell = await files(Shell, 'shell');
    const words = await files(Machine, 'words');
    story.verdict('Through a shell the name is executed', `it made ${shell.made.join()}`, shell.made.length === 1);
    story.code('src/machine.ts', { from: 'protected argv(', to: '}' });
    story.verdict(
      'As one word of a command it is a name',
      `"${words.said}", and ${words.made.length} files made`,
      words.made.length === 0,
    );
  });

  await story.scene('Say first, do once', async () => {
    story.say(
      `${TILLS} tills, each with an agent of its own, a process. The runbook installs a price list and a sign: four steps, of which one needs another. First in check mode, then twice in earnest.`,
    );
    const rows: [string, number, number, number][] = [];
    const play = async (what: string, check: boolean) => {
      const run = await chain.play(install(good), { check, batch: '50%' });
      const reports = run.jobs.flatMap((job) => job.reports);
      const made = (await Promise.all(tills.map(({ root }) => readdir(join(root, 'till')).catch(() => [])))).flat()
        .length;
      rows.push([
        what,
        reports.filter(({ state }) => state === 'changed').length,
        reports.filter(({ state }) => state === 'ok').length,
        made,
      ]);
    };
    await play('check mode', true);
    await play('first run', false);
    await play('second run', false);
    story.table({ columns: ['', 'changed', 'ok', 'files there'], rows });
    const [checked = [], first = [], second = []] = rows;
    story.verdict(
      'Check mode has said what would change, and changed nothing',
      `${checked[1]} steps, ${checked[3]} files`,
      checked[1] === TILLS * 4 && checked[3] === 0,
    );
    story.verdict(
      'The second run has changed nothing',
      `${first[1]}, then ${second[1]}`,
      first[1] === TILLS * 4 && second[1] === 0,
    );
  });

  await story.scene('A bad price list', async () => {
    story.say(
      'A price list without milk: no till can work with it, and its self-check says so. Once it goes to all tills at once, once to one tenth at a time, with no failure allowed.',
    );
    const broken = async () => {
      const lists = await Promise.all(tills.map(({ root }) => readFile(join(root, 'till/prices'), 'utf8')));
      return lists.filter((list) => list !== good).length;
    };
    await chain.play(install('bread 2.49\n'), { batch: '100%' });
    const all = await broken();
    await chain.play(install(good), { batch: '100%' });
    const run = await chain.play(install('bread 2.49\n'), { batch: '10%' });
    const few = await broken();
    story.verdict('At once: closed tills', `${all} of ${TILLS}`, all === TILLS);
    story.code('src/rollout.ts', { from: 'const bad = batch.filter', to: "return { next: 'abort' };" });
    story.verdict(
      'In batches: closed tills',
      `${few} of ${TILLS}, the run is ${run.state}, ${statesOf(run)['skipped']} were left alone`,
      few === 1 && run.state === 'aborted',
    );
    await chain.play(install(good), { batch: '100%' });
  });

  await story.scene('A till vanishes, and a run is cancelled', async () => {
    story.say(
      'A step takes a minute. It has a child, and that one has another, who does not listen to SIGTERM. One agent is killed (-9) in the middle, the other run is cancelled. Before, with two flaws: no news is good news, and only the child is ended.',
    );
    const script = 'echo $$ > pid; sh -c \'trap "" TERM HUP; (touch begun; sleep 60) & wait; sleep 60\' & wait';
    const steps = [{ name: 'long', command: { argv: ['sh', '-c', script] } }];
    const both = async (kind: Chain, impl: string) => {
      const hosts = [`${impl}-a`, `${impl}-b`];
      const [a, b] = await Promise.all(hosts.map((name) => kind.process(name, { tags: ['pair'] })));
      if (!a || !b) throw new Error('two tills');
      await kind.ops.putRunbook('mo', { name: 'long', batch: '100%', steps });
      const [vanishing = '', cancelled = ''] = await Promise.all(
        hosts.map((target) => kind.ops.start('mo', { runbook: 'long', target })),
      );
      await until(() => Promise.all([a, b].map(({ root }) => readFile(join(root, 'begun')))), {
        what: 'both to begin',
        timeoutMs: 8_000,
      });
      const group = Number(await readFile(join(b.root, 'pid'), 'utf8'));
      a.child.kill('SIGKILL');
      await kind.ops.cancel('mo', cancelled);
      const [lost, ended] = [await kind.ended(vanishing, 8_000), await kind.ended(cancelled, 8_000)];
      return { lost: lost.jobs[0]?.state, run: lost.state, ended: ended.state, left: (await runningIn(group)).length };
    };
    const flawed = { ...lab, Ops: NoNews, Machine: ChildOnly };
    const naive = bin.use(
      await Chain.open({
        lab: flawed,
        postgres: pg.url,
        schema: 'naive',
        impl: join(import.meta.dirname, 'pitfalls/child-only.ts'),
      }),
    );
    naive.lead({ silentMs: patient(2_000) });
    await patientOne[Symbol.asyncDispose]();
    await using _ = chain.lead({ silentMs: patient(2_000) });
    const [before, after] = await Promise.all([both(naive, 'naive'), both(chain, 'office')]);
    story.verdict(
      'No news is good news: of the till that vanished it is said',
      `${before.lost}, and its run is ${before.run}`,
      before.lost === 'ok',
    );
    story.verdict(
      'Who is silent for too long is',
      `${after.lost}, and its run is ${after.run}`,
      after.lost === 'unknown' && after.run === 'aborted',
    );
    story.verdict('Cancelled by a signal to the child: processes left', `${before.left}`, before.left > 0);
    story.code('src/machine.ts', { from: 'protected async stop(', to: "signalGroup(pid, 'SIGKILL');" });
    story.verdict(
      'Cancelled by signals to the group: processes left',
      `${after.left}, the run is ${after.ended}`,
      after.left === 0 && after.ended === 'cancelled',
    );
  });

  await story.scene('Two controllers, and one is paused', async () => {
    story.say(
      'A schedule is due. The controller that leads has seen it and is about to start the run, when it is stopped (SIGSTOP), as a virtual machine that is moved. Its lease of 300 ms ends, the other one takes over and starts the run. Then the first goes on.',
    );
    const office = async (impl: string, pauses = ''): Promise<{ child: ChildProcess; refused: () => number }> => {
      const args = [
        join(import.meta.dirname, 'test/office.ts'),
        pg.url,
        'office',
        join(import.meta.dirname, impl),
        '300',
        pauses,
      ];
      const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      bin.defer(() => end(child));
      let refused = 0;
      const lines = createInterface({ input: child.stdout });
      lines.on('line', (line) => {
        if (line === 'refused') refused += 1;
      });
      await once(lines, 'line');
      return { child, refused: () => refused };
    };
    const runsOf = async (impl: string, name: string) => {
      const first = await office(impl, 'pauses');
      await chain.ops.putSchedule('mo', {
        name,
        runbook: 'play',
        target: 'till',
        everyMs: 3_600_000,
        first: new Date(0),
      });
      await until(() => isStopped(first.child.pid ?? 0), { what: 'the first to be stopped', timeoutMs: 8_000 });
      const second = await office(impl);
      const started = async () =>
        (await chain.pool.query('SELECT FROM ops_runs WHERE actor = $1', [`schedule: ${name}`])).rowCount ?? 0;
      await until(async () => (await started()) > 0, { what: 'the second to start the run', timeoutMs: 8_000 });
      first.child.kill('SIGCONT');
      await until(async () => (await started()) > 1 || first.refused() > 0, {
        what: 'the first to go on',
        timeoutMs: 8_000,
      });
      const result = { runs: await started(), refused: first.refused() };
      await Promise.all([end(first.child), end(second.child)]);
      await chain.pool.query('DELETE FROM ops_leases');
      return result;
    };
    const unfenced = await runsOf('pitfalls/unfenced.ts', 'nightly');
    const fenced = await runsOf('src/index.ts', 'daily');
    story.verdict('With a lease alone the schedule has started', `${unfenced.runs} runs`, unfenced.runs === 2);
    story.code('src/ops.ts', {
      from: "const { rowCount } = await tx.query('SELECT FROM ops_leases",
      to: 'throw new StaleFenceError(fence);',
    });
    story.verdict(
      "With the lease's number looked at in the write itself",
      `${fenced.runs} run, ${fenced.refused} late write refused`,
      fenced.runs === 1 && fenced.refused > 0,
    );
  });

  await story.scene('An alert that rings all night, and somebody who tidies up', async () => {
    story.say(
      'The alert TillDown comes 40 times, as from two Alertmanagers that repeat themselves. Then somebody who can write the database changes an entry of the log; then takes the last one away.',
    );
    await chain.ops.putRule('mo', { alert: 'TillDown', runbook: 'play', cooldownMs: 3_600_000 });
    const alert = {
      status: 'firing',
      fingerprint: 'b1946ac9',
      labels: { alertname: 'TillDown', host: 'till-3' },
    } as const;
    const started = await Promise.all(Array.from({ length: 40 }, () => chain.ops.alert('monitoring', [alert])));
    const runs = started.flat().filter((id) => id !== undefined).length;
    story.verdict('40 alerts have started', `${runs} run`, runs === 1);
    const { pool } = chain;
    const { audit } = chain.ops;
    const entries = await chain.ops.auditEntries();
    const head = entries.at(-1);
    if (!head) throw new Error('an empty log');
    const whole = audit.verify(entries, head);
    await pool.query("UPDATE ops_audit SET actor = 'nobody' WHERE seq = 7");
    const changed = audit.verify(await chain.ops.auditEntries(), head);
    await pool.query('UPDATE ops_audit SET actor = $1 WHERE seq = 7', [entries[6]?.actor]);
    await pool.query('DELETE FROM ops_audit WHERE seq = $1', [head.seq]);
    const cut = await chain.ops.auditEntries();
    const [unseen, seen] = [audit.verify(cut), audit.verify(cut, head)];
    const words = (verdict: lab.Verdict) => (verdict.intact ? 'intact' : `entry ${verdict.seq}: ${verdict.why}`);
    story.verdict('As it was written', `${entries.length} entries, ${words(whole)}`, whole.intact);
    story.verdict('After the change', words(changed), !changed.intact && changed.seq === 7);
    story.verdict('Without its last entry, and without an anchor', words(unseen), unseen.intact);
    story.verdict(
      'Without its last entry, by the anchor that is kept elsewhere',
      words(seen),
      !seen.intact && seen.seq === head.seq,
    );
  });
});
