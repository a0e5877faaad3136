import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, renameSync, truncateSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '@opensearch-project/opensearch';
import { startOpenSearch } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { Shipper as FollowsTheName } from './pitfalls/follows-the-name.ts';
import { Shipper as OffsetFirst } from './pitfalls/offset-first.ts';
import { LogStore as QueryString } from './pitfalls/query-string.ts';
import { Shipper as RandomId } from './pitfalls/random-id.ts';
import { Shipper as SizeAlone } from './pitfalls/size-alone.ts';
import { BulkSink, LogStore, QueryError, Shipper, type ShipperOptions, type Sink } from './src/index.ts';
import { append, folder, linesOf, run, Shelf } from './test/support.ts';

const LINES = 10_000;
const CARRIED = 3_000;
const FIELDS = { status: 'integer', ms: 'double', table: 'keyword' } as const;
const lately = () => ({ from: new Date(Date.now() - 864e5), to: new Date(Date.now() + 864e5) });
const many = (n: number) => n.toLocaleString('en');

const options = {
  title: 'Log pipeline 日志收集与分析（ELK）',
  subtitle:
    "The restaurant's day book: a waiter writes, a courier carries, and moves his bookmark when the archive has stamped",
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  await using bin = new AsyncDisposableStack();
  const at = bin.use(folder());
  const starting = startOpenSearch({ signal: story.signal });
  starting.catch(() => {});

  await story.scene('The shop closes: who has written everything down?', async () => {
    story.say(
      `A till logs ${many(LINES)} lines and is told to go in the same moment: once by SIGTERM, once by kill -9.`,
    );
    const kinds: [string, string, string][] = [
      ["pino's transport, a thread", 'pino-writer.ts', 'transport'],
      ['pino, written by callbacks', 'pino-writer.ts', 'async'],
      ["this lab's logger, 16 kB buffer", 'writer.ts', '16000'],
      ["this lab's logger, no buffer", 'writer.ts', '0'],
    ];
    const saved = async ([, program, kind]: (typeof kinds)[number], how: string) => {
      const path = at.file(`${kind}-${how}.log`);
      await run(program, path, String(LINES), kind, how);
      return existsSync(path) ? linesOf(path).length : 0;
    };
    const rows = [];
    for (const kind of kinds)
      rows.push({ kind, saved: await Promise.all([saved(kind, 'SIGTERM'), saved(kind, 'SIGKILL')]) });
    story.table({
      columns: ['how it writes', 'lines after SIGTERM', 'after kill -9'],
      rows: rows.map(({ kind, saved: [term = 0, kill = 0] }) => [kind[0], many(term), many(kill)]),
    });
    const [thread, callbacks, buffer, direct] = rows.map((row) => row.saved);
    story.verdict(
      'A thread or a callback has no time left',
      `${many(thread?.[0] ?? 0)} and ${many(callbacks?.[0] ?? 0)} of ${many(LINES)} lines`,
      (thread?.[0] ?? LINES) < LINES && (callbacks?.[0] ?? LINES) < LINES,
    );
    story.code('src/logger.ts', { from: 'const listener', to: 'process.kill' });
    story.verdict(
      'Who writes before he goes loses nothing to SIGTERM; without a buffer, nothing to kill -9',
      `${many(buffer?.[0] ?? 0)}; ${many(direct?.[1] ?? 0)} lines`,
      buffer?.[0] === LINES && direct?.[0] === LINES && direct[1] === LINES,
    );
  });

  await story.scene('The day book is full: a new one, and a courier who is away', async () => {
    story.say('While the courier is away the log is rotated, and the new one grows longer than the old one was.');
    const rows: [string, string, string][] = [];
    const lost = async (kind: new (o: ShipperOptions) => Shipper, how: 'renamed' | 'copied, truncated') => {
      using place = folder();
      const [path, shelf] = [place.file('till.log'), new Shelf()];
      const courier = () => new kind({ path, offsetPath: place.file('offset'), sink: shelf, host: 'shop' }).drain();
      const book = (from: number, to: number) =>
        Array.from({ length: to - from }, (_, n) => `receipt ${String(from + n).padStart(6, '0')}`);
      append(path, 'the till begins', ...book(0, 500));
      await courier();
      append(path, ...book(500, 800));
      if (how === 'renamed') renameSync(path, `${path}.1`);
      else await copyFile(path, `${path}.1`).then(() => truncateSync(path));
      append(path, 'the till begins', ...book(800, 2_000));
      await courier();
      const seen = new Set(shelf.messages.map((message) => /^receipt \d{6}$/.exec(message)?.[0]).filter(Boolean));
      return 2_000 - seen.size;
    };
    const couriers = {
      'knows its name': FollowsTheName,
      'knows its size': SizeAlone,
      'knows its content (this lab)': Shipper,
    };
    for (const [name, kind] of Object.entries(couriers)) {
      rows.push([name, many(await lost(kind, 'renamed')), many(await lost(kind, 'copied, truncated'))]);
    }
    story.table({ columns: ['the courier', 'renamed: lost', 'copied, truncated: lost'], rows });
    story.verdict(
      'Neither the name nor the size tells which book it is',
      `${rows[0]?.[1]} and ${rows[1]?.[2]} of 2,000 lines lost`,
      rows[0]?.[1] !== '0' && rows[1]?.[2] !== '0',
    );
    story.verdict(
      'The first line and the bytes before the bookmark do',
      `${rows[2]?.[1]} and ${rows[2]?.[2]} lost`,
      rows[2]?.[1] === '0' && rows[2]?.[2] === '0',
    );
  });

  const search = await story.use(starting);
  const client = new Client({ node: search.url });
  const archive = async (name: string) => {
    const prefix = `${search.namespace}${name}`;
    const store = new LogStore(client, { prefix, fields: FIELDS });
    await store.prepare();
    bin.defer(async () => void (await client.indices.deleteIndexTemplate({ name: prefix })));
    const sink = new BulkSink(client, {
      prefix,
      deadLetterPath: at.file(`${name}.dead`),
      pauseMs: 20,
      mostPauseMs: 100,
    });
    const count = async () => {
      await client.indices.refresh({ index: `${prefix}-2*`, ignore_unavailable: true });
      return (await client.count({ index: `${prefix}-2*`, ignore_unavailable: true })).body.count;
    };
    return { prefix, store, sink, count };
  };

  await story.scene('The courier falls off his bicycle', async () => {
    story.say('600 lines in batches of 75, and he dies four times: before the archive has stamped, and after it.');
    const path = at.file('book.log');
    append(path, ...Array.from({ length: 600 }, (_, n) => JSON.stringify({ message: `receipt ${n}` })));
    const carry = async (name: string, label: string, kind: new (o: ShipperOptions) => Shipper) => {
      const { sink, count, store } = await archive(name);
      let batches = 0;
      const falls: Sink = {
        async send(events, signal) {
          batches++;
          if (batches % 4 === 1) throw new Error('before');
          await sink.send(events, signal);
          if (batches % 4 === 3) throw new Error('after');
        },
      };
      const o = { path, offsetPath: at.file(`${name}.offset`), host: 'shop', batchEvents: 75 };
      for (let life = 0; life < 4; life++) await new kind({ ...o, sink: falls }).drain().catch(() => {});
      await new kind({ ...o, sink }).drain();
      await count();
      const { hits, total } = await store.search('', { ...lately(), size: 1_000 });
      const distinct = new Set(hits.map(({ offset }) => offset)).size;
      return [label, 600 - distinct, total - distinct] as const;
    };
    const rows = await Promise.all([
      carry('first', 'bookmark first', OffsetFirst),
      carry('random', 'a new id each time', RandomId),
      carry('ours', 'stamp, then bookmark (this lab)', Shipper),
    ]);
    story.table({ columns: ['the courier', 'lines lost', 'lines twice'], rows });
    story.verdict(
      'Bookmark first loses, a new id doubles',
      `${many(rows[0]?.[1] ?? 0)} lost, ${many(rows[1]?.[2] ?? 0)} twice`,
      (rows[0]?.[1] ?? 0) > 0 && (rows[1]?.[2] ?? 0) > 0,
    );
    story.code('src/shipper.ts', { from: 'if (events.length > 0) await', to: 'this.place = place' });
    story.verdict(
      'First the stamp, then the bookmark, under one id',
      `${rows[2]?.[1]} lost, ${rows[2]?.[2]} twice`,
      rows[2]?.[1] === 0 && rows[2][2] === 0,
    );

    const { prefix, count } = await archive('killed');
    const log = at.file('till.log');
    append(log, ...Array.from({ length: CARRIED }, (_, n) => JSON.stringify({ message: `receipt ${n}` })));
    let lives = 0;
    for (const part of [0.1, 0.5, 1]) {
      const child = fork(join(import.meta.dirname, 'test/shipper-process.ts'), [search.url, prefix, at.path]);
      bin.defer(() => void child.kill('SIGKILL'));
      lives++;
      await until(async () => (await count()) >= CARRIED * part, {
        timeoutMs: 20_000,
        intervalMs: 50,
        what: `${part} of the lines`,
      });
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    const total = await count();
    story.verdict(
      `${many(CARRIED)} lines by processes that end by kill -9`,
      `${many(total)} in the index after ${lives} lives`,
      total === CARRIED,
    );
  });

  await story.scene('A poisoned line, and an archive that is full', async () => {
    const { sink, prefix, store, count } = await archive('shop');
    const log = at.file('shop.log');
    const now = Date.now();
    const receipt = (n: number) => {
      const late = n % 40 === 7;
      const fields = { status: late ? 504 : 200, ms: late ? 3_000 + n : 20 + (n % 60), table: `t${n % 9}` };
      return JSON.stringify({
        time: now - 60_000 + n * 15,
        level: late ? 'error' : 'info',
        service: n % 4 ? 'till' : 'kitchen',
        message: late ? '支付超时 payment timed out' : 'paid',
        fields,
      });
    };
    append(
      log,
      ...Array.from({ length: 1_000 }, (_, n) => receipt(n)),
      '{"message":"poison","fields":{"status":"OK"}}',
    );
    const shipper = new Shipper({
      path: log,
      offsetPath: at.file('shop.offset'),
      sink,
      host: 'shop',
      batchEvents: 200,
      pollMs: 20,
    });
    const stop = new AbortController();
    const running = shipper.run(stop.signal);
    await until(async () => (await count()) >= 1_000, { what: 'the first thousand', timeoutMs: 10_000 });
    const aside = () => (existsSync(at.file('shop.dead')) ? linesOf(at.file('shop.dead')) : []);
    await until(() => aside().length > 0, { what: 'the dead letter' });
    const letters = aside().map((line) => JSON.parse(line));
    story.verdict(
      'One line of a batch is refused for good: it is put aside, with its reason',
      `1,000 indexed, ${letters.length} aside: ${/field \[\S*\] of type \[\w*\]/.exec(String(letters[0]?.reason))?.[0]}`,
      letters.length === 1,
    );
    const block = (write: boolean) =>
      client.indices.putSettings({ index: `${prefix}-2*`, body: { index: { blocks: { write } } } });
    const points: { written: [number, number][]; indexed: [number, number][] } = { written: [], indexed: [] };
    const start = performance.now();
    const moments: { at: number; label: string }[] = [];
    for (let n = 1_000; n < 4_000; n += 100) {
      append(log, ...Array.from({ length: 100 }, (_, k) => receipt(n + k)));
      const ms = Math.round(performance.now() - start);
      if (n === 1_800 || n === 3_000) {
        await block(n === 1_800);
        moments.push({ at: ms, label: n === 1_800 ? 'full' : 'room again' });
      }
      points.written.push([ms, n + 100]);
      points.indexed.push([ms, await count()]);
      await delay(40);
    }
    await until(async () => (await count()) === 4_000, { what: 'all receipts', timeoutMs: 10_000 });
    points.indexed.push([Math.round(performance.now() - start), await count()]);
    stop.abort();
    await running;
    story.lines({
      title: 'Receipts written, and in the index',
      x: { label: 'ms' },
      y: { label: 'lines' },
      series: [
        { label: 'written', points: points.written },
        { label: 'indexed', points: points.indexed },
      ],
      moments,
      picture: true,
    });
    story.verdict(
      'While the index refuses, the file is the buffer; then all of it comes',
      `${many(await count())} of 4,000, none twice, 200 lines in memory at once`,
      (await count()) === 4_000,
    );

    const time = { from: new Date(now - 60_000), to: new Date(now), columns: 12 };
    const { total, histogram, hits } = await store.search('level:error "支付超时" ms>3000', { ...time, size: 1 });
    story.bars({
      title: '`level:error "支付超时" ms>3000`, in stretches of 5 s',
      unit: 'lines',
      items: histogram.map(({ from, total: value }) => ({ label: from.slice(11, 19), value })),
    });
    const summed = histogram.reduce((sum, bucket) => sum + bucket.total, 0);
    story.verdict(
      'A search and its histogram count the same',
      `${total} hits, ${summed} in the columns, the newest at ${hits[0]?.['@timestamp'].slice(11, 19)}`,
      total > 0 && total === summed,
    );
    const naive = new QueryString(client, { prefix, fields: FIELDS });
    const typed = 'service:till OR service:kitchen';
    const [open, closed] = [await naive.search(typed, time), await store.search(typed, time)];
    story.verdict(
      'What a user types is looked for, and carried out by nobody',
      `\`${typed}\`: ${many(open.total)} lines by query_string, ${closed.total} here`,
      open.total > 0 && closed.total === 0,
    );
    const wrong = await store.search('levle:error', time).catch((error: unknown) => error);
    story.verdict(
      'A bad query is told where',
      wrong instanceof QueryError ? wrong.message.replace(/;.*/s, '') : 'nothing',
      wrong instanceof QueryError && wrong.column === 1,
    );
  });
  story.next(['`pnpm lab learn log-pipeline` to build it yourself']);
});
