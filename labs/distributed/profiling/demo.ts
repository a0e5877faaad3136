import { randomBytes, scryptSync } from 'node:crypto';
import { tell } from '@shared/story';
import {
  allocations,
  attach,
  callCounts,
  callTree,
  flamegraph,
  type Hot,
  hottest,
  PortTakenError,
  ProfilingError,
  profile,
} from './src/index.ts';
import { end, lives, openCat, openShop, type Shop } from './test/processes.ts';
import { openInSpeedscope } from './test/speedscope.ts';

const percent = (share: number) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
const span = ([low, high]: readonly [number, number]) => `${percent(low)} to ${percent(high)}`;
/** A process that is at work opens its inspector when it comes to it. */
const PATIENT = { timeoutMs: 30_000 };
const right = (label: string) => ({ label, align: 'right' as const });

const options = {
  title: 'Profiling 性能分析（cProfile、Py-Spy）',
  subtitle: 'The check-up and the live ECG: first listen, then look closely',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  await using bin = new AsyncDisposableStack();
  const open = async (...args: Parameters<typeof openShop>): Promise<Shop> => bin.use(await openShop(...args));
  const of = (rows: readonly Hot[], name: string) => rows.find((row) => row.name === name);

  /** A process that nobody prepared; should another on this machine have its inspector's port, one with a port of its own. */
  const unprepared = async (...more: string[]) => {
    const shop = await open('serving', [], more);
    try {
      return { shop, attached: bin.use(await attach(shop.pid, PATIENT)) };
    } catch (error) {
      if (!(error instanceof PortTakenError)) throw error;
      story.say(`Port ${error.port} is another process' here, so the shop was started anew with --inspect-port=0.`);
      await end(shop.child);
      const other = await open('serving', ['--inspect-port=0'], more);
      return { shop: other, attached: bin.use(await attach(other.pid, PATIENT)) };
    }
  };

  await story.scene('The patient is at work: a guess, and an ECG', async () => {
    story.say(
      'A shop answers its guests, and its processor is warmer than it was. Nobody prepared it: no option, no import. In its code stands ' +
        '`priceOf`, a loop with 100,000 square roots a guest, beside a plain `JSON.stringify`: **the guess is `priceOf`**. We have ' +
        'nothing but its process id, and listen for 1.5 s, 1000 times a second.',
    );
    const { shop, attached } = await unprepared();
    await shop.truth();
    const report = await attached.record({ ms: 1500 });
    const truth = await shop.truth();
    await attached.detach();
    const tree = callTree(report);
    const rows = hottest(tree);
    const columns = ['function', right('of its own'), right('with callees'), right('truth, in 95 of 100 runs')];
    story.table({
      caption: `${tree.samples} samples of work, ${percent(tree.idleUs / (tree.idleUs + tree.root.totalUs))} of the time idle`,
      columns,
      rows: ['hotJson', 'priceOf', 'serve', '(garbage collector)'].map((name) => {
        const row = of(rows, name);
        return [name, percent(row?.self ?? 0), percent(row?.total ?? 0), span(row?.between ?? [0, NaN])];
      }),
    });
    const [hot] = rows;
    const guess = of(rows, 'priceOf');
    story.verdict(
      'The ECG names another one than the guess',
      `${hot?.name} ${percent(hot?.self ?? NaN)}, priceOf ${percent(guess?.self ?? 0)}`,
      hot?.name === 'hotJson',
    );
    // V8 lists the collector apart; by the shop's clock its time is that of the function in which it ran, the one that makes garbage.
    const collector = of(rows, '(garbage collector)')?.total ?? 0;
    story.verdict(
      'The shop, asked how it spent its time, says nearly the same',
      `hotJson ${percent(truth)} by its own clock; here ${percent(hot?.total ?? NaN)}, and ${percent(collector)} collects its garbage`,
      Math.abs(truth - (hot?.total ?? NaN) - collector) < 0.2,
    );
    const theirs = await openInSpeedscope('shop.cpuprofile', JSON.stringify(report));
    const [most] = theirs.toSorted((a, b) => b.selfUs - a.selfUs);
    story.verdict(
      'speedscope opens the file, and names the same',
      `${theirs.length} functions, most in ${most?.name}`,
      most?.name === hot?.name,
    );
    const svg = flamegraph(tree);
    story.verdict(
      'The flame graph is an SVG of our own',
      `${(svg.length / 1024).toFixed(0)} KiB, ${svg.split('<rect').length - 2} bars`,
      svg.includes('hotJson'),
    );

    story.say('The fix keeps the JSON until the menu changes. The same measure again:');
    const fixed = await unprepared('fixed');
    const after = hottest(callTree(await fixed.attached.record({ ms: 700 })));
    await fixed.attached.detach();
    const items = (
      [
        ['before', rows, 'bad'],
        ['after', after, 'good'],
      ] as const
    ).map(([when, list, tone]) => ({
      label: `hotJson, ${when} the fix`,
      value: Math.round(100 * (of(list, 'hotJson')?.self ?? 0)),
      tone,
    }));
    story.bars({ title: 'Share of all work', unit: '%', items, picture: true });
    const left = of(after, 'hotJson')?.self ?? 0;
    story.verdict('After the fix it is hardly met', `hotJson ${percent(left)}`, left < 0.15);
    story.code('src/attach.ts', { from: 'const now = await listeners', to: 'if (inspector) return' });
  });

  await story.scene('The check-up: how often, how long', async () => {
    story.say(
      'A hundred guests log in; one in five comes by a link and needs no password. The report of a check-up: how often each ' +
        'examination was made (counted), how long it took, alone and with all that belongs to it (sampled).',
    );
    const salt = randomBytes(16);
    const checkPassword = (guest: number) => scryptSync(`guest ${guest}`, salt, 32, { N: 2048 });
    const findGuest = (guest: number) => JSON.parse(JSON.stringify({ guest, roles: ['guest'] }));
    const login = (guest: number) => (guest % 5 === 0 ? findGuest(guest) : [findGuest(guest), checkPassword(guest)]);
    const hundred = () => {
      for (let guest = 0; guest < 100; guest++) login(guest);
    };
    hundred();
    const { calls } = await callCounts(hundred, { accept: (url) => url === import.meta.url });
    const rows = hottest(callTree((await profile(hundred)).profile));
    const count = (name: string) => calls.find((row) => row.name === name)?.calls ?? 0;
    const names = ['login', 'checkPassword', 'findGuest'];
    const ms = (us: number) => (us / 1000).toFixed(us < 10_000 ? 2 : 0);
    story.table({
      columns: ['function', right('calls'), right('ms in all'), right('of its own'), right('ms a call')],
      rows: names.map((name) => {
        const row = of(rows, name);
        if (!row) return [name, count(name), NaN, NaN, NaN];
        return [name, count(name), ms(row.totalUs), ms(row.selfUs), ms(row.totalUs / count(name))];
      }),
    });
    story.verdict(
      'Calls are counted, not estimated',
      `${count('login')} login, ${count('checkPassword')} checkPassword`,
      count('login') === 100 && count('checkPassword') === 80,
    );
    const share = (of(rows, 'checkPassword')?.totalUs ?? 0) / (of(rows, 'login')?.totalUs ?? NaN);
    story.verdict('Nearly all of a login is the password', percent(share), share > 0.7);
    story.say(
      "A finding, and no illness: a password's hash is slow on purpose. What helps is fewer of them (a session), or another thread, " +
        'not a quicker one. A profile says where the time goes, not what is wasted.',
    );
  });

  await story.scene('How many looks', async () => {
    story.say(
      'An ECG is a sample, and a share has its doubt. py-spy looks 100 times a second unless told otherwise, not once a ' +
        'millisecond. The same shop, each for 450 ms:',
    );
    const shop = await open();
    const attached = bin.use(await attach(shop.pid, PATIENT));
    const rows: (string | number)[][] = [];
    const doubts: number[] = [];
    for (const intervalUs of [50_000, 10_000, 1000]) {
      const tree = callTree(await attached.record({ ms: 450, intervalUs }));
      const hot = of(hottest(tree), 'hotJson');
      const between = hot?.between ?? ([0, 1] as const);
      doubts.push(between[1] - between[0]);
      rows.push([`each ${intervalUs / 1000} ms`, tree.samples, percent(hot?.self ?? 0), span(between)]);
    }
    story.table({ columns: ['a look', right('looks at work'), right('hotJson'), right('the truth lies in')], rows });
    const [rare = NaN, , often = NaN] = doubts;
    story.verdict(
      'Few looks name a function, and hardly its share',
      `${percent(rare)} wide, against ${percent(often)}`,
      rare > 2 * often,
    );
    story.say(
      'And the check-up needs no restart either, whatever the textbooks say of it: calls of this live process, in 300 ms.',
    );
    const calls = await attached.callCounts({ ms: 300, accept: (url) => url.endsWith('clinic.ts') });
    const turns = ['serve', 'hotJson', 'priceOf'].map((name) => calls.find((row) => row.name === name)?.calls ?? 0);
    story.verdict(
      'Each guest costs one call of each (whoever was there at the bell, half a one)',
      turns.join(', '),
      Math.min(...turns) > 0 && Math.max(...turns) - Math.min(...turns) <= 1,
    );
    await attached.detach();
  });

  await story.scene('What the looking costs', async () => {
    const add = (a: number, b: number): number => (a * 31 + b) % 1_000_003;
    let sink = 0;
    const small = () => {
      for (let call = 0; call < 600_000; call++) sink = add(sink, call);
    };
    const cpu = async (run: () => unknown) => {
      const from = process.threadCpuUsage();
      await run();
      return process.threadCpuUsage(from).user;
    };
    small();
    const costs: [number, number][] = [];
    for (let round = 0; round < 3; round++) {
      let [bare, sampled, counted] = [0, 0, 0];
      bare = await cpu(small);
      await profile(async () => {
        sampled = await cpu(small);
      });
      await callCounts(async () => {
        counted = await cpu(small);
      });
      small();
      costs.push([sampled / bare, counted / bare]);
    }
    const [sampling, counting] = [median(costs.map(([it]) => it)), median(costs.map(([, it]) => it))];
    story.bars({
      title: 'Processor time of 600,000 calls of a tiny function',
      items: [
        { label: 'nobody looks', value: 1, tone: 'good' },
        { label: 'sampled each millisecond', value: sampling, tone: 'warn' },
        { label: 'each call counted', value: counting, tone: 'bad' },
      ],
    });
    story.verdict(
      'To count each call costs more than to look now and then',
      `${counting.toFixed(1)} ×, ${sampling.toFixed(1)} ×`,
      counting > 1.5 * sampling,
    );
    story.say(
      'So the counts of a check-up are exact and its clock is not: small functions pay most. Take the times from the ECG.',
    );
  });

  await story.scene('The patient lies still', async () => {
    story.say('Two other complaints: a process that answers nobody any more, and one whose memory grows.');
    const stuck = await open('looping');
    const one = bin.use(await attach(stuck.pid, PATIENT));
    const loop = await one.loop({ ms: 300 });
    const [hot] = hottest(callTree(await one.record({ ms: 400 }))).filter(({ url }) => url !== '');
    story.verdict(
      'A loop that never comes round',
      `busy ${percent(loop.utilization)}, no turn in ${loop.longestStallMs.toFixed(0)} ms`,
      loop.utilization > 0.9 && loop.longestStallMs >= 300,
    );
    story.verdict('It is stuck, and the ECG still hears it', `most time in ${hot?.name}`, hot?.name === 'hotJson');
    await one.detach();
    const leaking = await open('leaking');
    const two = bin.use(await attach(leaking.pid, PATIENT));
    const [site, ...others] = allocations(await two.heap({ ms: 400 }));
    await two.detach();
    const litter = others.find(({ name }) => name === 'wipeTable')?.share ?? 0;
    story.verdict(
      'What has stayed is charged to who keeps it',
      `${site?.name} line ${site?.line}: ${percent(site?.share ?? 0)}`,
      site?.name === 'keepReceipt',
    );
    story.verdict(
      'Who allocates twice as often and keeps nothing is not',
      `wipeTable ${percent(litter)}`,
      litter < 0.2,
    );
  });

  await story.scene('Whom not to touch', async () => {
    story.say(
      'The way in is a signal, SIGUSR1, and it ends a process that has no handler for it. Each of these was asked:',
    );
    const cat = bin.use(openCat());
    const deaf = await open('nothing', ['--disable-sigusr1']);
    const inspected = await open('nothing', ['--inspect=0']);
    const port = /127\.0\.0\.1:(\d+)/.exec(inspected.said())?.[1];
    const second = await open('nothing', [`--inspect-port=${port}`]);
    const cases: [string, { pid: number; child: Shop['child'] }][] = [
      ['cat', cat],
      ['node --disable-sigusr1', deaf],
      ['node --inspect', inspected],
      ['node whose port is taken', second],
    ];
    const rows: string[][] = [];
    for (const [what, process] of cases) {
      const refused = await attach(process.pid, { timeoutMs: 400 }).catch((error: unknown) => error);
      rows.push([
        what,
        refused instanceof ProfilingError ? refused.name : 'attached',
        lives(process) ? 'lives' : 'ended',
      ]);
    }
    story.table({ columns: ['process', 'attach says', 'afterwards'], rows });
    const kinds = new Set(rows.map(([, kind]) => kind));
    story.verdict(
      'Each is refused for its own reason, and lives',
      `${kinds.size} reasons, ${rows.filter(([, , state]) => state === 'lives').length} alive`,
      kinds.size === 4 && rows.every(([, kind, state]) => kind !== 'attached' && state === 'lives'),
    );
    const shop = await open();
    const visit = await attach(shop.pid, PATIENT);
    const at = /127\.0\.0\.1:\d+/.exec(shop.said())?.[0];
    await visit.detach();
    const closed = await fetch(`http://${at}/json/version`).then(
      () => false,
      () => true,
    );
    const share = await shop.truth();
    story.verdict(
      'After a visit the door is closed, and the shop serves',
      `nobody at the port, ${percent(share)} in hotJson`,
      closed && share > 0,
    );
  });
});
