import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Client } from '@opensearch-project/opensearch';
import { startOpenSearch } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable, until } from '@shared/testkit';
import { destination, pino } from 'pino';
import { BulkSink, Logger, LogStore, Shipper } from './src/index.ts';
import { folder, linesOf } from './test/support.ts';

const LINES = 2_000;

/** rsyslog's own file input and index output, in a process and a folder of its own; the lines are JSON already. */
const rsyslog = (o: { folder: string; path: string; url: URL; index: string }) => `
global(workDirectory="${o.folder}")
module(load="imfile")
module(load="omelasticsearch")
template(name="line" type="list") { property(name="msg") }
ruleset(name="ship") {
  action(type="omelasticsearch" server="${o.url.hostname}" serverport="${o.url.port}" searchIndex="${o.index}"
    searchType="" template="line" bulkmode="on" action.resumeRetryCount="-1" queue.type="LinkedList"
    queue.dequeueBatchSize="500")
}
input(type="imfile" File="${o.path}" Tag="till" ruleset="ship")
`;

await tell(
  { title: 'Log pipeline against pino, the client’s bulk helper and rsyslog', dir: import.meta.dirname },
  async (story) => {
    using at = folder();

    await story.scene('A line, written', async () => {
      using direct = new Logger({ path: at.file('direct'), service: 'till' });
      using buffered = new Logger({ path: at.file('buffered'), service: 'till', bufferBytes: 8_192 });
      const peer = (name: string, options: object) => {
        const redact = ['password', '*.password'];
        return pino({ redact }, destination({ dest: at.file(name), sync: true, ...options }));
      };
      const [pinoSync, pinoBuffered] = [peer('pino', {}), peer('pino-buffered', { minLength: 8_192 })];
      const fields = { status: 200, ms: 12.5, user: { name: 'ada', password: 'x' } };
      const times = (call: () => void) => async () => {
        for (let n = 0; n < 100; n++) call();
      };
      const all = await contest({
        lab: times(() => direct.info('paid', fields)),
        pino: times(() => pinoSync.info(fields, 'paid')),
        'lab, buffer': times(() => buffered.info('paid', fields)),
        'pino, buffer': times(() => pinoBuffered.info(fields, 'paid')),
      });
      story.table(standingsTable(all));
      const [lab, pinos, labBuffer, pinosBuffer] = all;
      if (!lab || !pinos || !labBuffer || !pinosBuffer) throw new RangeError('four contestants');
      story.verdict(
        'The walk through every field has its price',
        `${ratio(lab, pinos).toFixed(2)} of pino's lines a second, ${ratio(labBuffer, pinosBuffer).toFixed(2)} with a buffer`,
        true,
      );
    });

    const search = await story.use(startOpenSearch());
    await story.scene(`${LINES} lines, shipped`, async () => {
      const client = new Client({ node: search.url });
      const prefix = `${search.namespace}bench`;
      await new LogStore(client, { prefix }).prepare();
      const [path, offsetPath] = [at.file('till.log'), at.file('till.offset')];
      appendFileSync(
        path,
        Array.from({ length: LINES }, (_, n) => `${JSON.stringify({ message: `receipt ${n}`, fields: { n } })}\n`).join(
          '',
        ),
      );
      const index = `${prefix}-2026.01.01`;
      let round = 0;
      const daemon = await promisify(execFile)('which', ['rsyslogd']).then(
        ({ stdout }) => stdout.trim(),
        () => undefined,
      );
      const byRsyslog = async () => {
        const own = at.file(`rsyslog-${round++}`);
        mkdirSync(own);
        const name = `${prefix}-rsyslog-${round}`;
        writeFileSync(`${own}/conf`, rsyslog({ folder: own, path, url: new URL(search.url), index: name }));
        const child = spawn(daemon ?? '', ['-n', '-f', `${own}/conf`, '-i', `${own}/pid`], { stdio: 'ignore' });
        try {
          const arrived = async () => {
            const { body } = await client.count({ index: name }, { ignore: [404] });
            if (body.count === LINES) return true;
            await client.indices.refresh({ index: name }, { ignore: [404] });
            return false;
          };
          await until(arrived, { timeoutMs: 30_000, intervalMs: 5, what: `${LINES} lines by rsyslog` });
        } finally {
          child.kill();
          await once(child, 'exit');
        }
      };
      if (daemon === undefined) story.say('rsyslog is not on PATH: `apt install rsyslog rsyslog-elasticsearch`.');
      const all = await contest(
        {
          lab: async () => {
            if (existsSync(offsetPath)) rmSync(offsetPath);
            const sink = new BulkSink(client, { prefix, deadLetterPath: at.file('dead') });
            await new Shipper({ path, offsetPath, sink, host: `host-${round++}` }).drain();
          },
          'bulk helper': async () => {
            const datasource = linesOf(path).map((line) => JSON.parse(line));
            await client.helpers.bulk({ datasource, onDocument: () => ({ index: { _index: index } }) });
          },
          ...(daemon === undefined ? {} : { 'rsyslog, its start included': byRsyslog }),
        },
        { rounds: 3, turnMs: 1_500 },
      );
      story.table(standingsTable(all));
      const [lab, helper, daemons] = all;
      if (!lab || !helper) throw new RangeError('two contestants');
      if (daemons)
        story.verdict('Beside rsyslog, whose start is in it', `${ratio(lab, daemons).toFixed(2)} of its speed`, true);
      story.verdict(
        'Ids, offsets and a sync for each batch have theirs',
        `${ratio(lab, helper).toFixed(2)} of the helper's speed, which notes nothing`,
        true,
      );
      await client.indices.deleteIndexTemplate({ name: prefix });
    });
  },
);
