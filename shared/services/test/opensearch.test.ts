import { readdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { describeWith } from '@shared/testkit';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { processesIn } from '../src/belongings.ts';
import {
  BadSettingError,
  FaultUnavailableError,
  inspectServices,
  LoginRefusedError,
  MissingServerError,
  startOpenSearch,
  UnreachableUrlError,
} from '../src/index.ts';
import { opensearch as service } from '../src/opensearch.ts';
import { freePort } from '../src/ports.ts';
import { failure, listens, pathOf, Script, stranger, temporary, until } from './support.ts';

// A JVM: it starts in 2 s alone on two cores, and takes a multiple of it beside other work.
const SLOW = 120_000;

afterEach(() => {
  vi.unstubAllEnvs();
});

const usersServer = (url: string) => {
  vi.stubEnv('LABS_SERVICES', undefined);
  vi.stubEnv('OPENSEARCH_URL', url);
};

async function ask(url: string, path: string, method = 'GET', body?: object): Promise<unknown> {
  const json = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(`${url}/${path}`, { method, signal: AbortSignal.timeout(5_000), ...json });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text.trim();
}

const indices = async (url: string) => String(await ask(url, '_cat/indices?h=index&s=index')).split('\n');

await describeWith('an OpenSearch', { one: () => startOpenSearch() }, ({ one }) => {
  const { url, node } = one;

  describe('of our own', { timeout: SLOW }, () => {
    test('finds a word in whatever form it was written', async () => {
      expect(one.banner).toMatch(/^opensearch: embedded 2\.19\.\d+, JRE \d+ from (PATH|the private cache)$/);
      expect([url, one.faults]).toEqual([node.url, true]);
      const text = (analyzer: string) => ({ type: 'text', analyzer });
      const mappings = { properties: { en: text('english'), zh: text('cjk') } };
      await ask(url, 'notes', 'PUT', { mappings });
      await ask(url, 'notes/_doc/1?refresh=true', 'PUT', { en: 'Burgers, well cooked', zh: '鱼香肉丝饭' });
      for (const q of ['en:cooking', 'en:burger', 'zh:肉丝'])
        expect(await ask(url, `notes/_search?q=${encodeURIComponent(q)}`), q).toMatchObject({
          hits: { hits: [{ _id: '1' }] },
        });
      const put = ask(url, 'notes/_doc/1?version=1&version_type=external', 'PUT', {});
      expect((await failure(put)).error.message).toContain('version_conflict');
    });

    test('listens on the loopback alone', async () => {
      const addresses = Object.values(networkInterfaces()).flat();
      for (const address of addresses) {
        if (address === undefined || address.internal || address.family !== 'IPv4') continue;
        const { error } = await failure(ask(`http://${address.address}:${node.port}`, ''));
        expect(String(error.cause)).toContain('ECONNREFUSED');
      }
    });

    test('paused it does not answer; a network can be put in front of it', async () => {
      const net = await node.proxy();
      expect(await ask(net.url, '')).toMatchObject({ version: { distribution: 'opensearch' } });
      await node.pause();
      const asked = fetch(url, { signal: AbortSignal.timeout(300) });
      expect((await failure(asked)).error.name).toBe('TimeoutError');
      await node.resume();
      expect(await ask(url, '')).toMatchObject({ version: { distribution: 'opensearch' } });
    });

    test('killed and restarted it is on its old port, and has what it had said yes to', async () => {
      await ask(url, 'kept/_doc/1', 'PUT', { n: 1 });
      await node.kill();
      expect([node.state, await listens(node.port)]).toEqual(['down', false]);
      await node.restart();
      expect([node.state, await ask(url, 'kept/_doc/1')]).toMatchObject(['up', { _source: { n: 1 } }]);
      await ask(url, 'notes,kept', 'DELETE');
    });
  });

  describe('of the user', { timeout: SLOW }, () => {
    test('is used without faults, and loses at the end the indices under our prefix and no others', async () => {
      await ask(url, 'labs-theirs', 'PUT');
      usersServer(`${url}/`);
      {
        await using users = await startOpenSearch();
        expect([users.origin, users.faults]).toEqual(['url', false]);
        expect(users.banner).toMatch(/^opensearch: url 2\./);
        expect((await failure(users.node.kill())).error).toBeInstanceOf(FaultUnavailableError);
        await ask(url, `${users.namespace}a`, 'PUT', { aliases: { [`${users.namespace}alias`]: {} } });
        await ask(url, `${users.namespace}b`, 'PUT');
      }
      expect(await indices(url)).toEqual(['labs-theirs']);
    });

    test('loses them after kill -9 of the lab, too', async () => {
      const script = new Script('hold-opensearch.ts', { LABS_SERVICES: '', OPENSEARCH_URL: url });
      const namespace = await script.says<string>();
      expect(await indices(url)).toContain(`${namespace}left`);
      script.child.kill('SIGKILL');
      await until('our index is gone', async () => !(await indices(url)).includes(`${namespace}left`), 15_000);
    });
  });

  test('on the port of the compose file it is not taken for the compose file’s', async () => {
    expect(await service.isOurContainer(url)).toBe(false);
  });
});

test('a URL that cannot be used is a typed error that names the variable', async () => {
  const says = (status: string, body: string) =>
    stranger(0, (socket) =>
      socket.once('data', () => socket.end(`HTTP/1.1 ${status}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)),
    );
  await using silent = await stranger();
  await using other = await says('200 OK', '{"version":{"number":"9.1.0"},"tagline":"You Know, for Search"}');
  await using closed = await says('401 Unauthorized', 'who are you');
  const unusable = [
    [`http://127.0.0.1:${await freePort()}`, UnreachableUrlError, 'ECONNREFUSED'],
    [`http://127.0.0.1:${silent.port}`, UnreachableUrlError, 'no answer within'],
    [`http://127.0.0.1:${other.port}`, UnreachableUrlError, 'not an OpenSearch'],
    [`http://me:secret@127.0.0.1:${closed.port}`, LoginRefusedError, '401'],
    ['opensearch://127.0.0.1', BadSettingError, 'such as'],
    ['localhost:9200', BadSettingError, 'such as'],
  ] as const;
  for (const [given, kind, words] of unusable) {
    usersServer(given);
    const { error } = await failure(startOpenSearch());
    expect(error, given).toBeInstanceOf(kind);
    for (const word of [words, 'OPENSEARCH_URL']) expect(error.message).toContain(word);
    expect(error.message).not.toContain('secret');
  }
});

test('after kill -9 of the parent no process and no folder is left, a paused node included', {
  timeout: SLOW,
}, async () => {
  await using folder = await temporary();
  const script = new Script('hold-opensearch.ts', { TMPDIR: folder.path });
  await until('it says its prefix', () => script.output.includes('\n'), SLOW);
  expect((await processesIn(folder.path)).length).toBe(1);
  script.child.kill('SIGKILL');
  await script.ended();
  const left = async () => (await readdir(folder.path)).length + (await processesIn(folder.path)).length;
  await until('nothing is left', async () => (await left()) === 0, 10_000);
});

test('an abort during the start rejects with its reason, and leaves nothing', { timeout: SLOW }, async () => {
  await using folder = await temporary();
  vi.stubEnv('TMPDIR', folder.path);
  const abort = new AbortController();
  const starting = startOpenSearch({ signal: abort.signal });
  await until('it has begun', async () => (await processesIn(folder.path)).length > 0, 20_000);
  abort.abort(new Error('Ctrl-C'));
  expect((await failure(starting)).error.message).toBe('Ctrl-C');
  expect(await readdir(folder.path)).toEqual([]);
});

test('a machine without a Java that it runs on is told which, and starts nothing', async () => {
  await using folder = await temporary();
  const java = '#!/bin/sh\necho \'openjdk version "25.0.1"\' >&2\n';
  vi.stubEnv('PATH', await pathOf(folder.path, { java }));
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  vi.stubEnv('LABS_PROVISION', 'never');
  const { error } = await failure(startOpenSearch());
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error).toMatchObject({ service: 'opensearch', exitCode: 3 });
  expect(error.message).toContain('is Java 25, 17 to 23 is needed');
  const [report] = await inspectServices(['opensearch']);
  expect(report).toMatchObject({ available: false, origin: undefined });
  expect(report?.ways.join('\n')).toContain('docker compose --profile opensearch up');
  expect(await readdir(folder.path)).toEqual(['bin']);
});
