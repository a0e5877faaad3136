import { chmod, readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { processesIn } from '../src/belongings.ts';
import {
  FaultUnavailableError,
  LoginRefusedError,
  type RabbitServers,
  startRabbit,
  UnreachableUrlError,
} from '../src/index.ts';
import { rabbitmq } from '../src/rabbit.ts';
import { failure, listens, Script, stranger, temporary, until } from './support.ts';

// An Erlang machine: 5 s to start alone on two cores, 20 s and more beside other work.
const SLOW = 180_000;

let rabbit: RabbitServers;
beforeAll(async () => {
  rabbit = await startRabbit();
}, SLOW);
afterAll(() => rabbit[Symbol.asyncDispose](), SLOW);
afterEach(() => {
  vi.unstubAllEnvs();
});
const usersRabbit = (url: string) => {
  vi.stubEnv('LABS_SERVICES', undefined);
  vi.stubEnv('AMQP_URL', url);
};
/** Whether the broker lets us in: it answers the login, not only the greeting. */
const answers = (url: string) => rabbitmq.isOurContainer(url).catch(() => false);

test('a broker is announced with its version, listens on the loopback, and lets its user in', async () => {
  expect(rabbit.banner).toMatch(/^rabbitmq: embedded \d+\.\d+\.\d+$/);
  expect([rabbit.faults, rabbit.node.host]).toEqual([true, '127.0.0.1']);
  expect(await answers(rabbit.url)).toBe(true);
});

test('each virtual host is another one', async () => {
  const hosts = await Promise.all([rabbit.vhost(), rabbit.vhost(), rabbit.vhost()]);
  expect(new Set(hosts).size).toBe(3);
  for (const url of hosts) expect(url.startsWith(`${rabbit.url}/labs-`)).toBe(true);
});

test('a paused broker accepts and says nothing; resumed it answers', async () => {
  await rabbit.node.pause();
  const socket = connect(rabbit.node.port, '127.0.0.1');
  let said = '';
  socket.on('data', (chunk) => {
    said += chunk;
  });
  socket.write('AMQP\x00\x00\x09\x01');
  expect([await listens(rabbit.node.port), await answers(rabbit.url), said]).toEqual([true, false, '']);
  await rabbit.node.resume();
  await until('the broker answers', () => said !== '');
  socket.destroy();
});

test(
  'a killed broker is gone when kill() resolves, and answers on its old port when restart() resolves',
  async () => {
    await rabbit.node.kill();
    expect([rabbit.node.state, await listens(rabbit.node.port)]).toEqual(['down', false]);
    await rabbit.node.restart();
    expect([rabbit.node.state, await answers(rabbit.url)]).toEqual(['up', true]);
  },
  SLOW,
);

test('a broker of the user is used as it is: its own virtual host, no faults', async () => {
  usersRabbit(rabbit.url);
  await using users = await startRabbit();
  expect([users.origin, users.faults, await users.vhost()]).toEqual(['url', false, rabbit.url]);
  expect(users.banner).toBe(rabbit.banner.replace('embedded', 'url'));
  expect((await failure(users.node.kill())).error).toBeInstanceOf(FaultUnavailableError);
});

test('a wrong password, a silent host and a closed port are three errors that say so', async () => {
  usersRabbit(rabbit.url.replace(':labs@', ':wrong@'));
  expect((await failure(startRabbit())).error).toBeInstanceOf(LoginRefusedError);
  await using hole = await stranger();
  usersRabbit(`amqp://127.0.0.1:${hole.port}`);
  expect((await failure(startRabbit())).error).toBeInstanceOf(UnreachableUrlError);
  usersRabbit('amqp://127.0.0.1:1');
  expect((await failure(startRabbit())).error.message).toContain('ECONNREFUSED');
});

test(
  'after kill -9 of the parent no process and no folder is left, the port mapper included',
  async () => {
    await using folder = await temporary();
    await chmod(folder.path, 0o755);
    const script = new Script('hold-rabbit.ts', { TMPDIR: folder.path });
    await until('the broker is up', () => script.output.includes('\n'), SLOW);
    expect((await processesIn(folder.path)).length).toBeGreaterThan(1);
    script.child.kill('SIGKILL');
    await script.ended();
    await until(
      'nothing is left',
      async () => (await readdir(folder.path)).length === 0 && (await processesIn(folder.path)).length === 0,
      10_000,
    );
  },
  SLOW,
);
