import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { chromium } from 'playwright-core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type PostgresServers,
  type ReplicatedPostgres,
  startBrowser,
  startOpenSearch,
  startPostgres,
  startRabbit,
  startRedis,
  startZooKeeper,
} from '../src/index.ts';
import { lessorVariable } from '../src/lease.ts';
import { type Lessor, openLessor } from '../src/lessor.ts';
import { ask } from '../src/redis-wire.ts';
import { failure, listens } from './support.ts';

let lessor: Lessor;
beforeEach(async () => {
  lessor = await openLessor({ ahead: true });
  for (const [name, value] of Object.entries(lessor.env)) vi.stubEnv(name, value);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await lessor[Symbol.asyncDispose]();
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

test('a borrower that is killed in the middle of a question, with answers unread, ends nobody else', async () => {
  const path = Object.values(lessor.env)[0] ?? '';
  const question = `${JSON.stringify({ id: 1, question: { ask: 'return', loan: 1 } })}\n`;
  const borrower = `
    const socket = require('node:net').connect(${JSON.stringify(path)}, () => {
      socket.pause();
      socket.write(${JSON.stringify(question.repeat(200))} + '{"id":', () => setTimeout(() => process.kill(process.pid, 'SIGKILL'), 30));
    });`;
  for (let n = 0; n < 3; n++) {
    const child = spawn(process.execPath, ['-e', borrower]);
    await once(child, 'exit');
  }
  const socket = connect(path);
  socket.write(question);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  expect(String(answer)).toContain('"done":true');
});

describe('Postgres on loan', () => {
  /** Lets one borrower work, then the next; says whether they had the same server. */
  async function inTurn(
    work: (first: PostgresServers) => Promise<unknown>,
    next: (second: PostgresServers) => unknown,
  ) {
    let port: number;
    {
      await using first = await startPostgres();
      port = first.node.port;
      await work(first);
    }
    await using second = await startPostgres();
    await next(second);
    return second.node.port === port;
  }
  const tables = "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public'";

  test('is the same server for the next, with an empty database of another name', async () => {
    let name: string | undefined;
    const same = await inTurn(
      async ({ url, namespace }) => {
        name = namespace;
        await query(url, 'CREATE TABLE mine (n int)');
      },
      async ({ url, namespace }) => {
        expect(await query(url, tables)).toEqual([0]);
        expect(await query(url, 'SELECT current_database()')).toEqual([namespace]);
        expect(namespace).not.toBe(name);
      },
    );
    expect(same).toBe(true);
  });

  test('ends the connections that the last borrower left open', async () => {
    let ended = false;
    const same = await inTurn(
      async ({ url }) => {
        const left = new pg.Client({ connectionString: url });
        left
          .on('error', () => {})
          .on('end', () => {
            ended = true;
          });
        await left.connect();
        await left.query('BEGIN');
        await left.query('CREATE TABLE locked (n int)');
      },
      async ({ url }) => {
        expect(await query(url, "SELECT count(*)::int FROM pg_stat_activity WHERE state LIKE 'idle in%'")).toEqual([0]);
      },
    );
    expect([same, ended]).toEqual([true, true]);
  });

  test.each([
    ['a role', 'CREATE ROLE intruder'],
    ['a setting', "ALTER SYSTEM SET work_mem = '1MB'"],
    ['a setting of a role', "ALTER ROLE labs SET work_mem = '1MB'"],
    ['a replication slot', "SELECT pg_create_physical_replication_slot('left')"],
    ['a template', 'CREATE DATABASE pattern IS_TEMPLATE true'],
  ])('is another server when the last borrower left %s', async (_what, sql) => {
    expect(
      await inTurn(
        ({ url }) => query(url, sql),
        async ({ url }) => expect(await query(url, tables)).toEqual([0]),
      ),
    ).toBe(false);
  });

  test('is another server when it was killed or paused, healed or not', async () => {
    const stays = (fault: (pg: PostgresServers) => Promise<void>) =>
      inTurn(fault, async ({ url }) => expect(await query(url, tables)).toEqual([0]));
    expect(await stays(({ node }) => node.pause())).toBe(false);
    expect(await stays(({ node }) => node.kill())).toBe(false);
    expect(
      await stays(async ({ node, url }) => {
        await node.kill();
        expect([node.state, await listens(node.port)]).toEqual(['down', false]);
        await node.restart();
        expect(await query(url, 'SELECT 1')).toEqual([1]);
      }),
    ).toBe(false);
  });

  test('is lent with its standby, which has the next database; and no more once it was promoted or lags', {
    timeout: 60_000,
  }, async () => {
    const ports: number[] = [];
    const turn = async (work: (servers: ReplicatedPostgres) => Promise<unknown> = async () => {}) => {
      await using servers = await startPostgres({ standby: 1 });
      ports.push(servers.node.port);
      expect(await query(servers.standbys[0].url, 'SELECT current_database()')).toEqual([servers.namespace]);
      await work(servers);
    };
    await turn(({ url }) => query(url, 'CREATE TABLE mine (n int)'));
    await turn(({ standbys: [standby] }) => standby.pauseReplay());
    await turn(({ standbys: [standby] }) => standby.promote());
    await turn();
    const [first, second, third, fourth] = ports;
    expect([second === first, third === second, fourth === third]).toEqual([true, false, false]);
  });

  test('is not shared by two who hold it at once', async () => {
    await using one = await startPostgres();
    await using two = await startPostgres();
    expect(two.node.port).not.toBe(one.node.port);
  });
});

describe('Redis on loan', () => {
  test('is new for each borrower, and takes every fault', async () => {
    const ports: number[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      await using redis = await startRedis({ nodes: 2 });
      ports.push(...redis.nodes.map(({ port }) => port));
      const [first] = redis.nodes;
      expect(await say(first.port, 'GET left')).toBe('$-1');
      await say(first.port, 'SET left 1');
      await first.kill();
      expect(await listens(first.port)).toBe(false);
      await first.restart();
      expect(await say(first.port, 'PING')).toBe('+PONG');
      const net = await first.proxy();
      expect(await say(net.port, 'PING')).toBe('+PONG');
      await first.pause();
    }
    expect(new Set(ports).size).toBe(4);
  });

  test('is a cluster for who asks for one', async () => {
    await using redis = await startRedis({ cluster: 6, nodeTimeoutMs: 800 });
    expect(redis.banner).toContain('one cluster');
    for (const { id, host, port } of redis.nodes) {
      expect(await ask(host, port, 'CLUSTER MYID\r\nPING', '+PONG', 5000)).toContain(id);
    }
    expect(new Set(redis.nodes.map(({ id }) => id)).size).toBe(6);
    await redis.nodes[0].kill();
    expect(await listens(redis.nodes[0].port)).toBe(false);
  });

  test('comes back from a borrower that is gone without a word, and ends with the lessor', async () => {
    const socket = connect(lessor.env[lessorVariable] ?? '');
    socket.write(`${JSON.stringify({ id: 1, question: { ask: 'lend', service: 'redis', wish: { nodes: 1 } } })}\n`);
    const [line] = await once(createInterface({ input: socket }), 'line');
    const port = Number(new URL(JSON.parse(line).answer.facts.urls[0]).port);
    expect(await listens(port)).toBe(true);
    socket.destroy();
    await vi.waitFor(async () => expect(await listens(port)).toBe(false), 5000);
  });
});

test('what nobody lends is refused', async () => {
  const { borrow } = await import('../src/lease.ts');
  expect((await failure(borrow('sqlite', {}))).error.message).toContain('nobody lends "sqlite"');
});

test('RabbitMQ on loan is one broker for all, emptied in between; the next borrower waits', {
  timeout: 180_000,
}, async () => {
  const first = await startRabbit();
  let waits = true;
  const rival = (async () => {
    await using other = await openBorrower();
    // Nobody waits for this one: who has it can wait.
    await other.lend('redis');
    const answer = await other.lend('rabbitmq');
    waits = false;
    return answer;
  })();
  const mine = new URL(await first.vhost()).pathname;
  await new Promise((done) => setTimeout(done, 100));
  expect(waits).toBe(true);
  // One whose alarm is still raised would not be lent again.
  for (const raised of [true, false]) await first.alarm?.(raised);
  await first[Symbol.asyncDispose]();
  const [url] = (await rival).urls;
  expect(url).toBe(first.url);
  await using second = await startRabbit();
  expect(new URL(await second.vhost()).pathname).not.toBe(mine);
  expect(second.url).toBe(first.url);
});

test('a ZooKeeper that is given back is lent again under another namespace; one that was killed is not', {
  timeout: 120_000,
}, async () => {
  const first = await startZooKeeper();
  expect(await first.leader()).toBe(first.nodes[0]);
  await first[Symbol.asyncDispose]();
  const second = await startZooKeeper();
  expect(second.connectString).toBe(first.connectString);
  expect(second.namespace).not.toBe(first.namespace);
  await second.nodes[0].kill();
  expect(await second.leader()).toBe(undefined);
  await second[Symbol.asyncDispose]();
  await using third = await startZooKeeper();
  expect(third.connectString).not.toBe(first.connectString);
});

test('an OpenSearch that is given back is lent again without what was in it; one that was killed is not', {
  timeout: 120_000,
}, async () => {
  const first = await startOpenSearch();
  await fetch(`${first.url}/left`, { method: 'PUT' });
  await first[Symbol.asyncDispose]();
  const second = await startOpenSearch();
  expect([second.url, second.namespace !== first.namespace]).toEqual([first.url, true]);
  expect(await (await fetch(`${second.url}/_cat/indices`)).text()).toBe('');
  await second.node.kill();
  await second[Symbol.asyncDispose]();
  await using third = await startOpenSearch();
  expect(third.url).not.toBe(first.url);
});

test('a browser that is given back is lent again without the pages of the last one; where what all share was used it is not', {
  timeout: 120_000,
}, async () => {
  const first = await startBrowser();
  await using stays = await chromium.connectOverCDP(first.url);
  const left = await (await stays.newContext()).newPage();
  await first[Symbol.asyncDispose]();
  const second = await startBrowser();
  expect([second.url, second.namespace !== first.namespace]).toEqual([first.url, true]);
  expect(left.isClosed()).toBe(true);
  await (await second.page()).goto('data:text/html,mine');
  await stays.contexts()[0]?.newPage();
  await second[Symbol.asyncDispose]();
  await using third = await startBrowser();
  expect(third.url).not.toBe(first.url);
});

/** A borrower that is another process, for all that the lessor knows. */
async function openBorrower() {
  const socket = connect(lessor.env[lessorVariable] ?? '');
  await once(socket, 'connect');
  const lines = createInterface({ input: socket });
  return {
    lend: async (service: string): Promise<{ urls: readonly string[] }> => {
      socket.write(`${JSON.stringify({ id: 1, question: { ask: 'lend', service, wish: {} } })}\n`);
      const [line] = await once(lines, 'line');
      return JSON.parse(line).answer.facts;
    },
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
    },
  };
}

/** One inline command, and the first line of its answer. */
async function say(port: number, command: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${command}\r\n`);
  const [chunk] = await once(socket, 'data');
  socket.destroy();
  return String(chunk).split('\r\n')[0] ?? '';
}

describe('a Redis Cluster on loan', () => {
  const say = (port: number, ...commands: string[]) =>
    ask('127.0.0.1', port, [...commands, 'PING'].join('\r\n'), '+PONG', 5000);

  test('is the same one for the next: no key, each slot at home, none on its way', async () => {
    let ports: number[];
    {
      await using first = await startRedis({ cluster: 6 });
      const [a, b, c] = first.nodes;
      ports = first.nodes.map(({ port }) => port);
      // CLUSTER KEYSLOT b = 3300, of the first; foo = 12182, of the third.
      expect(await say(a.port, 'SET b 1')).toContain('+OK');
      expect(await say(c.port, 'SET foo 1')).toContain('+OK');
      await say(b.port, `CLUSTER SETSLOT 7 IMPORTING ${a.id}`);
      for (const { port } of [b, a, c]) expect(await say(port, `CLUSTER SETSLOT 7 NODE ${b.id}`)).toContain('+OK');
      await say(a.port, `CLUSTER SETSLOT 3300 MIGRATING ${c.id}`);
      await say(c.port, `CLUSTER SETSLOT 3300 IMPORTING ${a.id}`);
    }
    await using second = await startRedis({ cluster: 6 });
    expect(second.nodes.map(({ port }) => port)).toEqual(ports);
    for (const { port } of second.nodes) {
      const said = await say(port, 'DBSIZE', 'CLUSTER NODES', 'CLUSTER INFO');
      expect(said).toMatch(/^:0\r/);
      for (const slots of ['0-5460', '5461-10922', '10923-16383'])
        expect(said).toMatch(new RegExp(` connected ${slots}\r?\n`));
      expect(said).toContain('cluster_state:ok');
    }
  });

  test('is another one after a setting was changed', async () => {
    let ports: number[];
    {
      await using first = await startRedis({ cluster: 6 });
      ports = first.nodes.map(({ port }) => port);
      await say(first.nodes[0].port, 'CONFIG SET maxmemory 100mb');
    }
    await using second = await startRedis({ cluster: 6 });
    expect(second.nodes.map(({ port }) => port)).not.toEqual(ports);
    expect(await say(second.nodes[0].port, 'CONFIG GET maxmemory')).toContain('\r\n0\r\n');
  });
});
