import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describeWith } from '@shared/testkit';
import { afterEach, expect, test, vi } from 'vitest';
import { processesIn } from '../src/belongings.ts';
import { inspectServices, MissingServerError, startZipkin } from '../src/index.ts';
import { failure, listens, Script, temporary, until } from './support.ts';

// A JVM: it starts in 2 s alone on two cores, and takes a multiple of it beside other work.
const SLOW = 120_000;

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Of a trace: a kiosk asks a shop, which asks its stock in vain. */
const TRACE = '463ac35c9f6413ad48485a3953bb6124';
const span = (id: string, service: string, rest: object = {}) => ({
  traceId: TRACE,
  id,
  name: 'get',
  kind: 'SERVER',
  timestamp: Date.now() * 1000,
  duration: 5000,
  localEndpoint: { serviceName: service },
  ...rest,
});
const spans = () => [
  span('000000000000000a', 'kiosk'),
  span('000000000000000b', 'shop', { parentId: '000000000000000a' }),
  span('000000000000000c', 'stock', { parentId: '000000000000000b', tags: { error: 'sold out' } }),
];

async function send(url: string): Promise<number> {
  const headers = { 'content-type': 'application/json' };
  return (await fetch(`${url}/api/v2/spans`, { method: 'POST', headers, body: JSON.stringify(spans()) })).status;
}

async function ask(url: string, path: string): Promise<unknown> {
  return JSON.parse(await (await fetch(`${url}/api/v2/${path}`)).text());
}

/** On a machine whose environment is another Zipkin's. */
async function startAmongOthers() {
  vi.stubEnv('STORAGE_TYPE', 'elasticsearch');
  vi.stubEnv('KAFKA_BOOTSTRAP_SERVERS', '127.0.0.1:1');
  vi.stubEnv('COLLECTOR_SAMPLE_RATE', '0.0');
  try {
    return await startZipkin();
  } finally {
    vi.unstubAllEnvs();
  }
}

await describeWith('a Zipkin', { zipkin: startAmongOthers }, ({ zipkin }) => {
  const { url, node } = zipkin;

  test('takes spans, and answers with traces and with who calls whom', { timeout: SLOW }, async () => {
    expect(zipkin.banner).toMatch(/^zipkin: embedded 3\.\d+\.\d+, JRE \d+/);
    expect([url, zipkin.faults]).toEqual([node.url, true]);
    expect(await send(url)).toBe(202);
    await until('all are there', async () => /c".*sold out/.test(JSON.stringify(await ask(url, `trace/${TRACE}`))));
    expect(await ask(url, `trace/${TRACE}`)).toMatchObject([
      { id: '000000000000000a' },
      { id: '000000000000000b', parentId: '000000000000000a' },
      { id: '000000000000000c', tags: { error: 'sold out' } },
    ]);
    expect(await ask(url, 'services')).toEqual(['kiosk', 'shop', 'stock']);
    expect(await ask(url, `dependencies?endTs=${Date.now() + 60_000}&lookback=3600000`)).toEqual(
      expect.arrayContaining([expect.objectContaining({ parent: 'kiosk', child: 'shop' })]),
    );
    expect(await (await fetch(`${url}/zipkin/`)).text()).toContain('<title>Zipkin</title>');
  });

  test('is reachable from this machine alone', async () => {
    expect(await listens(node.port)).toBe(true);
    const addresses = Object.values(networkInterfaces()).flat();
    for (const one of addresses) {
      if (one === undefined || one.internal || one.family !== 'IPv4') continue;
      const socket = connect({ host: one.address, port: node.port });
      const { promise, resolve } = Promise.withResolvers<string>();
      socket.once('connect', () => resolve('open')).once('error', () => resolve('closed'));
      expect(await promise).toBe('closed');
      socket.destroy();
    }
  });

  test('paused it does not answer; a network can be put in front of it', { timeout: SLOW }, async () => {
    const net = await node.proxy();
    expect((await fetch(`${net.url}/health`)).status).toBe(200);
    await node.pause();
    const asked = fetch(`${url}/health`, { signal: AbortSignal.timeout(300) });
    expect((await failure(asked)).error.name).toBe('TimeoutError');
    await node.resume();
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  test('killed and restarted it is on its old port, and has forgotten', { timeout: SLOW }, async () => {
    expect(await send(url)).toBe(202);
    await node.kill();
    expect([node.state, await listens(node.port)]).toEqual(['down', false]);
    await node.restart();
    expect([node.state, await ask(url, 'services')]).toEqual(['up', []]);
  });

  test('after kill -9 of the parent no process and no folder is left, a paused node included', {
    timeout: SLOW,
  }, async () => {
    await using folder = await temporary();
    const script = new Script('hold-zipkin.ts', { TMPDIR: folder.path });
    await until('it says its port', () => script.output.includes('\n'), 60_000);
    expect((await processesIn(folder.path)).length).toBe(1);
    script.child.kill('SIGKILL');
    await script.ended();
    const left = async () => (await readdir(folder.path)).length + (await processesIn(folder.path)).length;
    await until('nothing is left', async () => (await left()) === 0);
  });

  test('an abort during the start rejects with its reason, and leaves nothing', { timeout: SLOW }, async () => {
    await using folder = await temporary();
    vi.stubEnv('TMPDIR', folder.path);
    const abort = new AbortController();
    const starting = startZipkin({ signal: abort.signal });
    await until('it has begun', async () => (await processesIn(folder.path)).length > 0, 20_000);
    abort.abort(new Error('Ctrl-C'));
    expect((await failure(starting)).error.message).toBe('Ctrl-C');
    expect(await readdir(folder.path)).toEqual([]);
  });
});

test('a machine without a Java is told how to get one; the report says so, and starts nothing', async () => {
  await using folder = await temporary();
  vi.stubEnv('PATH', folder.path);
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  vi.stubEnv('LABS_PROVISION', 'never');
  const { error } = await failure(startZipkin());
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error).toMatchObject({ service: 'zipkin', exitCode: 3 });
  expect(error.message).toContain('there is no java on PATH');
  const [report] = await inspectServices(['zipkin']);
  expect(report).toMatchObject({ available: false, origin: undefined });
  expect(report?.ways.join()).not.toMatch(/export|docker/);
  expect(await readdir(folder.path)).toEqual([]);
});

test('only ours will do: LABS_SERVICES=compose is refused', async () => {
  vi.stubEnv('LABS_SERVICES', 'compose');
  const { error } = await failure(startZipkin());
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error.message).toContain('Unset LABS_SERVICES');
});
