import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { startPostgres, startRedis } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { criticalPath, type SpanRecord } from '#lab';
import { type Company, startCollector, startCompany } from './parcel/processes.ts';

const ORDERS = 8;
const SLOW_MS = 80;
const UPSTREAM = '0af7651916cd43dd8448eb211c80319c';

/** A process that makes one span and has nothing else to do. */
async function shortLife(collector: string, how: string) {
  const child = spawn(process.execPath, [new URL('./parcel/short.ts', import.meta.url).pathname, collector, how], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const [code, signal] = await once(child, 'close');
  return { code, signal, said };
}

await describeWith('tracing', { redis: () => startRedis(), postgres: () => startPostgres() }, ({ redis, postgres }) => {
  let collector: Awaited<ReturnType<typeof startCollector>>;
  let ended: Company['ended'] = [];
  const orders = new Map<string, { status: number; traceId: string }>();
  const spansOf = (order: string): SpanRecord[] => {
    const id = orders.get(order)?.traceId;
    return collector.spans.filter(({ traceId }) => traceId === id);
  };

  let silent: ReturnType<typeof shortLife>;
  let asked: ReturnType<typeof shortLife>;

  beforeAll(async () => {
    collector = await startCollector();
    await using company = await startCompany({
      redis: redis.nodes[0].url,
      postgres: postgres.url,
      prefix: `${redis.namespace}bull`,
      collector: collector.url,
      ratio: 1,
      hook: true,
      waybill: true,
      // Nothing is sent before the processes end.
      delayMs: 60_000,
      slowMs: SLOW_MS,
    });
    const order = async (name: string, headers: Record<string, string> = {}) => {
      const { status, text } = await company.order(name, headers);
      orders.set(name, { status, traceId: status === 200 ? JSON.parse(text).traceId : text });
      await until(() => company.delivered(name), { what: `${name} to be delivered` });
    };
    await order('first');
    const mute = await startCollector();
    mute.be('silent');
    // They take their time beside the other orders; the first has the machine to itself.
    silent = shortLife(mute.url, 'silent').finally(() => mute[Symbol.asyncDispose]());
    asked = shortLife(collector.url, 'once');
    await Promise.all([
      ...Array.from({ length: ORDERS }, (_, n) => order(`many ${n}`)),
      order('malformed', { traceparent: `00-${UPSTREAM}-b7ad6b7169203331` }),
      order('unsampled', { traceparent: `00-${'1'.repeat(32)}-b7ad6b7169203331-00` }),
      order('sampled', { traceparent: `00-${UPSTREAM}-b7ad6b7169203331-01` }),
    ]);
    await company.end('SIGTERM');
    ended = company.ended;
  }, 60_000);
  afterAll(() => collector[Symbol.asyncDispose]());

  test('one waybill goes through three processes, over HTTP, gRPC, a queue and Postgres', () => {
    const spans = spansOf('first');
    expect([...new Set(spans.map(({ service }) => service))].sort()).toEqual(['courier', 'payment', 'shop']);
    const seen = spans.map(
      ({ service, kind, name }) => `${service} ${kind} ${name.replace(/pg\.query:SELECT.*/, 'SELECT')}`,
    );
    for (const [hop, times] of [
      ['shop server POST', 1],
      ['shop client SELECT', 3],
      ['shop client grpc.parcel.Payment/Pay', 2],
      ['payment server grpc.parcel.Payment/Pay', 2],
      ['payment client SELECT', 2],
      ['shop producer send parcels', 1],
      ['shop client evalsha', 1],
      ['courier consumer process parcels', 1],
      ['courier client SELECT', 3],
    ] as const) {
      expect(
        seen.filter((each) => each === hop),
        hop,
      ).toHaveLength(times);
    }
    const { orphans, culprits } = criticalPath(spans);
    expect(orphans, 'spans without the span that they hang on').toEqual([]);
    // Who is first is told on a clock of its own in another law: on a busy machine anything may take longer than the JOIN.
    const join = culprits.find(({ name }) => name.includes('JOIN'));
    expect(join?.ms, 'milliseconds that the answer waited for the JOIN').toBeGreaterThanOrEqual(SLOW_MS - 1);
    expect(
      spans
        .filter(({ error }) => error)
        .map(({ service, name }) => `${service} ${name}`)
        .sort(),
    ).toEqual(['payment grpc.parcel.Payment/Pay', 'shop grpc.parcel.Payment/Pay']);
  });

  test('orders at once do not mix', () => {
    const ids = Array.from({ length: ORDERS }, (_, n) => orders.get(`many ${n}`)?.traceId);
    expect(new Set(ids).size, 'traces').toBe(ORDERS);
    for (let n = 0; n < ORDERS; n++) {
      const spans = spansOf(`many ${n}`);
      expect(spans.filter(({ name }) => name === 'process parcels')).toHaveLength(1);
      expect(spans.filter(({ name }) => name.startsWith('scan '))).toHaveLength(3);
      expect(criticalPath(spans).orphans).toEqual([]);
    }
  });

  test('a malformed header costs no request; who began a trace decides whether it is kept', () => {
    expect(orders.get('malformed')).toMatchObject({ status: 200, traceId: expect.not.stringContaining(UPSTREAM) });
    expect(spansOf('malformed').length).toBeGreaterThan(10);
    expect(orders.get('unsampled')).toEqual({ status: 200, traceId: '1'.repeat(32) });
    expect(spansOf('unsampled'), 'spans of a trace that is not kept, in any process').toEqual([]);
    expect(orders.get('sampled')?.traceId).toBe(UPSTREAM);
    const services = new Set(spansOf('sampled').map(({ service }) => service));
    expect(services.size, 'processes that kept a trace that is').toBe(3);
  });

  test('nobody’s name, card or words are in what was sent', () => {
    expect(collector.text()).toContain('SELECT');
    // No hex number can look like one of these: 16 digits, or no digits of a hex number.
    const secrets = ['@example.org', '4242424242424242', 'email=', 'the bank did not take', 'order=', 'redis://'];
    expect(
      secrets.filter((secret) => collector.text().includes(secret)),
      'what was sent of it',
    ).toEqual([]);
  });

  test('SIGTERM sends what waits, and ends the process as it would have', () => {
    expect(collector.spans.length, 'spans that waited for the end').toBeGreaterThan(200);
    expect(ended).toEqual(Array(3).fill('SIGTERM'));
  });

  test('a process ends when its work does, and sends what waits; one that traces too late does not start', async () => {
    const [brief, early] = await Promise.all([shortLife(collector.url, 'well'), shortLife(collector.url, 'early')]);
    expect(brief).toEqual({ code: 0, signal: null, said: '' });
    expect(collector.spans.filter(({ service }) => service === 'short').map(({ name }) => name)).toEqual(['brief']);
    expect(early.code, 'http was bound before start()').toBe(1);
    expect(early.said).toContain('NotPatchedError: No span would ever come from http');
  });

  test('a silent collector keeps no process; an application that asked to hear of SIGTERM once ends it itself', async () => {
    const { code, said } = await silent;
    expect(code).toBe(3);
    expect(Number(said), 'milliseconds from the span to the end, 2000 of them the deadline’s').toBeLessThan(7_000);
    expect(await asked).toEqual({ code: 4, signal: null, said: '' });
  });
});
