import { execFileSync, fork } from 'node:child_process';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { hybrid as unheard } from './pitfalls/exit-unheard.ts';
import { hybrid as again } from './pitfalls/runs-the-lost-again.ts';
import { calibrate, detectCpu, type Hybrid, hybrid, recommend, ruleOfThumb, WorkerLostError } from './src/index.ts';
import type * as Kitchen from './test/kitchen.ts';
import { ask } from './test/kitchen.ts';

const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const times = (value: number) => `${value.toFixed(2)} ×`;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const sum = (values: readonly number[]) => values.reduce((total, each) => total + each, 0);
const file = (name: string) => new URL(`./test/${name}`, import.meta.url);
const entry = file('kitchen.ts');
const time = async (work: () => unknown) => {
  const from = performance.now();
  await work();
  return performance.now() - from;
};
/** Runs `count` tasks, at most `places` at once. @returns their results. */
async function drain<T>(count: number, places: number, task: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  const place = async () => {
    while (count-- > 0) results.push(await task());
  };
  await Promise.all(Array.from({ length: places }, place));
  return results;
}

const options = {
  title: 'Processes and threads 进程与线程的计算公式',
  subtitle: 'The burger shop: branches, cooks, and guests who wait',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const cpu = detectCpu();
  let cores = Number.NaN;

  await story.scene('How many cores are ours', async () => {
    story.say(
      'The machine shows its cores to everybody. A mask (`taskset`) or a quota (a container) says which are ours, and only a measurement says which are free.',
    );
    cores = await calibrate();
    const rows: (string | number)[][] = [];
    const row = (who: string, { physical, logical, affinity, quota, effective }: typeof cpu, measured: string) =>
      rows.push([who, physical, logical, affinity, quota ?? 'none', effective, measured]);
    row('this process', cpu, cores.toFixed(2));
    let pinned: typeof cpu | undefined;
    try {
      const mask = [`${cpu.affinity > 1 ? 1 : 0}`, process.execPath, file('detect.ts').pathname];
      pinned = JSON.parse(
        execFileSync('taskset', ['-c', ...mask], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
      );
    } catch {
      story.say('(`taskset` is not to be had here: the pinned process is left out.)');
    }
    if (pinned) row('pinned by taskset', pinned, '');
    story.table({ columns: ['', 'physical', 'logical', 'mask', 'quota', 'ours', 'measured'], rows });
    story.code('src/cpu.ts', { from: 'return Math.max(1, Math.min(affinity' });
    if (pinned)
      story.verdict(
        'Who is pinned to one core has one, whatever the machine shows',
        `${pinned.effective} of ${cpus().length}`,
        pinned.effective === 1,
      );
    const thumb = (['cpu', 'io', 'mixed'] as const).map((kind) => {
      const plan = recommend({ kind, waitRatio: kind === 'cpu' ? 0 : 19 }, cpu);
      const { processes, threads } = ruleOfThumb(kind, cpu);
      return [kind, `${processes} × ${threads}`, `${plan.processes} × ${plan.threads}`, plan.inFlight];
    });
    story.table({
      caption: 'Processes × threads in each; for io and mixed 95 of 100 ms are waited',
      columns: ['work', 'rule of thumb', 'from what is ours', 'under way'],
      rows: thumb,
    });
  });

  const full = cpu.effective;
  const crowd = 2 * full;
  const knee = async () => {
    const [processes, threads] = [
      hybrid<typeof Kitchen>({ processes: crowd, threadsPerProcess: 1, entry }),
      hybrid<typeof Kitchen>({ processes: 1, threadsPerProcess: crowd, entry }),
    ];
    const counts = [...new Set([1, Math.ceil(full / 2), full, Math.ceil(1.5 * full), crowd])];
    const hashes = (shop: typeof threads, count: number, steps = 3e6) =>
      drain(crowd, count, async () => Number(await shop.run({ dish: 'hash', steps })));
    const runs: { count: number; processes: number; threads: number; switches: number }[] = [];
    try {
      for (const shop of [processes, threads]) await hashes(shop, crowd, 1e6);
      for (let round = 0; round < 3; round++) {
        for (const count of counts) {
          let switches: number[] = [];
          const spent = await time(async () => {
            switches = await hashes(processes, count);
          });
          const inThreads = await time(() => hashes(threads, count));
          runs.push({ count, processes: 1 / spent, threads: 1 / inThreads, switches: sum(switches) / crowd });
        }
      }
    } finally {
      await Promise.all([processes, threads].map((shop) => shop[Symbol.asyncDispose]()));
    }
    const middle = (count: number, what: 'processes' | 'threads' | 'switches') =>
      median(runs.filter((run) => run.count === count).map((run) => run[what]));
    return { counts, middle };
  };

  const title = 'More cooks than stoves';
  if (full > 16) story.skip(title, `cannot be shown here: it takes ${crowd} processes`);
  else {
    await story.scene(title, async () => {
      story.say(
        'A process leaves its core when its time slice is over or when a more urgent one is ready (involuntary), and when it ' +
          'yields or waits for a lock, a disk, memory (voluntary). ' +
          `${crowd} hashes, at most so many at once, in processes of one thread each and in threads of one process:`,
      );
      const { counts, middle } = await knee();
      const faster = (count: number, what: 'processes' | 'threads') => middle(count, what) / middle(1, what);
      const row = (count: number) => [count, times(faster(count, 'processes')), times(faster(count, 'threads'))];
      story.table({
        columns: ['at once', 'processes', 'threads', 'taken off, each hash'],
        rows: counts.map((count) => [...row(count), middle(count, 'switches').toFixed(1)]),
      });
      const taken = middle(crowd, 'switches');
      story.verdict(
        'Twice as many as cores: each is taken off again and again',
        `${taken.toFixed(1)} times`,
        taken >= 3,
      );
      cores = Math.min(cores, await calibrate(120));
      if (cores < 1.5) {
        story.say(
          `The knee **cannot be shown here**: ${cores.toFixed(2)} cores were free for us. Who else cooks decides, no formula.`,
        );
        return;
      }
      const [inThreads, inProcesses] = [faster(full, 'threads'), faster(full, 'processes')];
      story.verdict(
        'As many as cores beat one, threads as well: no lock (GIL) is shared in Node',
        `${times(inProcesses)} in processes, ${times(inThreads)} in threads`,
        Math.min(inThreads, inProcesses) >= 1.2,
      );
      const more = faster(crowd, 'processes') / inProcesses;
      story.verdict('The knee: twice as many gain nothing more', times(more), more < 1.35);
    });
  }

  await story.scene('A waiter for two hundred guests', async () => {
    let waitMs = 0;
    const server = createServer((guest) => setTimeout(() => guest.end('here'), waitMs)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const shop = hybrid<typeof Kitchen>({ processes: 1, threadsPerProcess: 10, entry });
    const inThreads = async () => Number(await shop.run({ dish: 'ask', port }));
    const measure = async (places: number, wait = () => ask(port)) => {
      let stays: number[] = [];
      const spent = await time(async () => {
        stays = await drain(200, places, wait);
      });
      return { perSecond: 200_000 / spent, stay: sum(stays) / 200 };
    };
    try {
      await drain(20, 10, inThreads);
      await measure(1);
      // Much longer than a question costs, or on a slow machine it is the cost that is measured.
      waitMs = Math.max(25, Math.ceil(40_000 / (await measure(1)).perSecond));
      const threads = await measure(10, inThreads);
      const ten = await measure(10);
      const points: [number, number][] = [[10, ten.perSecond]];
      for (const places of [50, 100, 200]) points.push([places, (await measure(places)).perSecond]);
      const most = points.at(-1)?.[1] ?? Number.NaN;
      story.say(
        `200 questions to a server that answers after ${waitMs} ms. Ten threads (five for each of two cores) with one guest each, ` +
          'and one thread with ten guests and more:',
      );
      story.lines({
        title: 'Answers a second, by the questions under way',
        picture: true,
        x: { label: 'under way' },
        y: { label: 'a second' },
        series: [
          { label: 'one thread, an event loop', points },
          { label: 'ten threads that wait', points: [[10, threads.perSecond]] },
        ],
      });
      const alike = threads.perSecond / ten.perSecond;
      story.verdict('Ten threads wait no better than one thread with ten places', times(alike), alike < 2);
      const gain = most / threads.perSecond;
      story.verdict('200 places on one thread: not threads were missing', `${times(gain)} the ten threads`, gain >= 3);
      const there = (ten.perSecond * ten.stay) / 1_000;
      story.verdict(
        "Little's law: rate × stay is how many are there",
        `${ten.perSecond.toFixed(0)} a second × ${ms(ten.stay)} = ${there.toFixed(1)}, with 10 places`,
        there > 8.5 && there < 10.5,
      );
    } finally {
      server.close();
      await shop[Symbol.asyncDispose]();
    }
  });

  await story.scene('Fifty megabytes across the counter', async () => {
    const thread = new Worker(file('echo.ts'));
    const child = fork(file('echo.ts'), { serialization: 'advanced' });
    let bytes = new Uint8Array(50_000_000);
    const trip = async (move: boolean) => {
      thread.postMessage({ bytes, move }, move ? [bytes.buffer] : []);
      const gone = bytes.byteLength === 0;
      [bytes] = await once(thread, 'message');
      return gone;
    };
    try {
      let gone = true;
      const move = async () => {
        gone &&= await trip(true);
      };
      const pipe = async () => {
        child.send(bytes);
        await once(child, 'message');
      };
      await trip(false);
      const [copies, moves]: [number[], number[]] = [[], []];
      for (let round = 0; round < 3; round++) {
        copies.push(await time(() => trip(false)));
        moves.push(await time(move));
      }
      const piped = await time(pipe);
      const thread0 = await time(() => once(new Worker('', { eval: true }), 'exit'));
      const process0 = await time(() => once(fork(file('echo.ts'), ['end']), 'exit'));
      story.table({
        columns: ['', 'there and back', 'an empty one, start to end'],
        rows: [
          ['thread, copied', ms(median(copies)), ms(thread0)],
          ['thread, transferred', ms(median(moves)), ''],
          ['process, through a pipe', ms(piped), ms(process0)],
        ],
      });
      story.verdict('What was transferred is gone here', `${gone ? 0 : 50_000_000} bytes left`, gone);
      const handed = median(copies) / median(moves);
      story.verdict('It is handed over, not copied', `${times(handed)} as quick`, handed >= 2);
    } finally {
      await thread.terminate();
      child.kill('SIGKILL');
    }
  });

  await story.scene('A branch burns down', async () => {
    story.say(
      'Two branches with two cooks each, forty orders. When the first four are on the stoves, one branch gets SIGKILL.',
    );
    const rows: [string, number, number, number, number][] = [];
    const run = async (name: string, shop: Hybrid<typeof Kitchen>) => {
      const gate = mkdtempSync(join(tmpdir(), 'burger-'));
      const told = { done: 0, lost: 0 };
      try {
        const note = (error: unknown) => error instanceof WorkerLostError && told.lost++;
        for (let at = 0; at < 40; at++) shop.run({ dish: 'hold', name: `${at}`, gate }).then(() => told.done++, note);
        const begun = () => readFileSync(`${gate}/begun`, 'utf8').split('\n').filter(Boolean);
        await until(() => begun().length === 4, { timeoutMs: 20_000 });
        const [victim = 0] = shop.stats().pids;
        process.kill(victim, 'SIGKILL');
        await until(() => !shop.stats().pids.includes(victim), { timeoutMs: 20_000 });
        writeFileSync(`${gate}/open`, '');
        await until(() => shop.stats().running + shop.stats().waiting === 0, { timeoutMs: 20_000 });
        const twice = begun().length - new Set(begun()).size;
        rows.push([name, told.done, told.lost, 40 - told.done - told.lost, twice]);
      } finally {
        await shop[Symbol.asyncDispose]();
        rmSync(gate, { recursive: true, force: true });
      }
    };
    const size = { processes: 2, threadsPerProcess: 2, entry };
    await run('nobody listens for the end', unheard<typeof Kitchen>(size));
    await run('what was lost is run again', again<typeof Kitchen>(size));
    await run('this lab', hybrid<typeof Kitchen>(size));
    story.table({
      caption: 'Forty orders',
      columns: ['', 'done', 'told "lost"', 'wait for ever', 'cooked twice'],
      rows,
    });
    const [deaf, twice, ours] = rows;
    story.verdict('Who listens to no end lets its callers wait', `${deaf?.[3]} of 40`, deaf?.[3] === 2);
    story.verdict('Who runs it again, unasked, cooks (and charges) twice', `${twice?.[4]} of 40`, twice?.[4] === 2);
    story.code('src/hybrid.ts', { from: 'if (!this.children.delete(child)) return;', to: 'this.lost(job, error)' });
    story.verdict(
      'Each is told once, and none is cooked twice',
      `${ours?.[1]} done + ${ours?.[2]} lost, ${ours?.[4]} twice`,
      ours?.slice(1).join() === '38,2,0,0',
    );
  });

  await story.scene('Guests at two doors', async () => {
    cluster.setupPrimary({ exec: file('counter.ts').pathname, silent: true });
    const guests: { socket: Socket; pid: string; closed: boolean }[] = [];
    try {
      const [first] = [cluster.fork(), cluster.fork()];
      let port = 0;
      let up = 0;
      cluster.on('listening', (_, address) => {
        port = address.port;
        up++;
      });
      await until(() => up === 2, { timeoutMs: 20_000 });
      await Promise.all(
        Array.from({ length: 20 }, async () => {
          const socket = connect(port, '127.0.0.1').on('error', () => {});
          const [pid] = await once(socket, 'data');
          const guest = { socket, pid: `${pid}`, closed: false };
          socket.on('close', () => {
            guest.closed = true;
          });
          guests.push(guest);
        }),
      );
      const theirs = guests.filter(({ pid }) => pid === `${first?.process.pid}`);
      first?.process.kill('SIGKILL');
      await until(() => theirs.every(({ closed }) => closed), { timeoutMs: 20_000 });
      const others = guests.filter((guest) => !theirs.includes(guest));
      const alive = others.filter(({ closed }) => !closed).length;
      story.verdict(
        '`node:cluster`: a crash closes the connections of its own worker only',
        `${theirs.length} closed, ${alive} of ${others.length} others open`,
        theirs.length > 0 && alive === others.length && alive > 0,
      );
    } finally {
      for (const { socket } of guests) socket.destroy();
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
    }
  });
});
