import { chmod, readdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { describeWith } from '@shared/testkit';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { processesIn } from '../src/belongings.ts';
import {
  BadSettingError,
  FaultUnavailableError,
  type KafkaServers,
  MissingServerError,
  startKafka,
  UnreachableUrlError,
} from '../src/index.ts';
import { kafka } from '../src/kafka.ts';
import { metadata } from '../src/kafka-wire.ts';
import { openLessor } from '../src/lessor.ts';
import { answers, create, receive, send, withAdmin } from './kafka-client.ts';
import { failure, listens, Script, stranger, temporary, until } from './support.ts';

// A JVM: 1 s alone on two cores, several beside other work.
const SLOW = 120_000;

/** Ports that the next start is given first: somebody else has them. */
const taken = vi.hoisted((): number[] => []);
vi.mock('../src/ports.ts', async (original) => {
  const real = await original<typeof import('../src/ports.ts')>();
  return { ...real, freePort: async () => taken.shift() ?? (await real.freePort()) };
});

afterEach(() => {
  taken.length = 0;
  vi.unstubAllEnvs();
});

const usersKafka = (url: string) => {
  vi.stubEnv('LABS_SERVICES', undefined);
  vi.stubEnv('KAFKA_URL', url);
};
const url = ({ bootstrap }: KafkaServers) => `kafka://${bootstrap[0]}`;
await describeWith('Kafka', { one: () => startKafka() }, ({ one }) => {
  describe('one broker', { timeout: SLOW }, () => {
    test('is announced with its version and its JRE', () => {
      expect(one.banner).toMatch(/^kafka: embedded 4\.\d+\.\d+, JRE \d+ from (PATH|the private cache)$/);
      expect([one.faults, one.bootstrap]).toEqual([true, [`127.0.0.1:${one.brokers[0].port}`]]);
    });

    test('listens on the loopback alone', async () => {
      const [outside] = Object.values(networkInterfaces())
        .flatMap((addresses) => addresses ?? [])
        .filter(({ internal, family }) => !internal && family === 'IPv4');
      if (outside === undefined) return;
      const at = { host: outside.address, port: one.brokers[0].port };
      await expect(metadata(at, { timeoutMs: 1000 })).rejects.toThrow('ECONNREFUSED');
    });

    test('hands a message from a producer to a consumer', async () => {
      await create(one.bootstrap, 'round-trip');
      await send(one.bootstrap, 'round-trip', 'hello');
      expect(await receive(one.bootstrap, 'round-trip')).toBe('hello');
    });

    test('accepts and says nothing while it is paused, and answers when it is resumed', async () => {
      const [node] = one.brokers;
      await node.pause();
      expect([node.state, await listens(node.port), await answers(node)]).toEqual(['paused', true, false]);
      await node.resume();
      await until('the broker answers', () => answers(node));
    });

    test('is gone when kill() resolves; when restart() resolves it answers on its port and has its data', async () => {
      const [node] = one.brokers;
      await create(one.bootstrap, 'kept');
      await send(one.bootstrap, 'kept', 'still here');
      await node.kill();
      expect([node.state, await listens(node.port)]).toEqual(['down', false]);
      await node.restart();
      expect([node.state, await answers(node)]).toEqual(['up', true]);
      expect(await receive(one.bootstrap, 'kept')).toBe('still here');
    });

    test('whose port is taken between the look and the bind gets others; beside another it shares nothing', async () => {
      await using foreign = await stranger();
      const { freePort } = await vi.importActual<typeof import('../src/ports.ts')>('../src/ports.ts');
      taken.push(await freePort(), foreign.port, await freePort());
      await using other = await startKafka();
      expect([foreign.port, one.brokers[0].port]).not.toContain(other.brokers[0].port);
      expect(other.namespace).not.toBe(one.namespace);
      expect((await metadata(other.brokers[0], { timeoutMs: 3000 })).brokers.length).toBe(1);
    });
  });

  describe('a cluster of the user', { timeout: SLOW }, () => {
    test('is used without faults, and loses at the end the topics under our prefix and no others', async () => {
      await create(one.bootstrap, 'labs-theirs', 'theirs');
      const before = await withAdmin(one.bootstrap, (admin) => admin.listTopics());
      usersKafka(url(one));
      {
        await using users = await startKafka();
        expect([users.origin, users.faults, users.bootstrap]).toEqual(['url', false, one.bootstrap]);
        expect(users.banner).toMatch(/^kafka: url cluster \S{22}$/);
        expect((await failure(users.brokers[0].kill())).error).toBeInstanceOf(FaultUnavailableError);
        expect((await failure(users.brokers[0].proxy())).error).toBeInstanceOf(FaultUnavailableError);
        await create(one.bootstrap, `${users.namespace}a`, `${users.namespace}b`);
      }
      expect(await withAdmin(one.bootstrap, (admin) => admin.listTopics())).toEqual(before);
    });

    test('loses them after kill -9 of the lab, too', async () => {
      const script = new Script('hold-kafka.ts', { LABS_SERVICES: '', KAFKA_URL: url(one) });
      const namespace = await script.says<string>();
      const ours = async () => {
        const topics = await withAdmin(one.bootstrap, (admin) => admin.listTopics());
        return topics.filter((topic) => topic.startsWith(namespace)).length;
      };
      expect(await ours()).toBe(1);
      script.child.kill('SIGKILL');
      await until('our topic is gone', async () => (await ours()) === 0, 15_000);
    });

    test('that has fewer brokers than are needed is a typed error', async () => {
      usersKafka(url(one));
      const { error } = await failure(startKafka({ brokers: 3 }));
      expect(error).toBeInstanceOf(MissingServerError);
      expect(error).toMatchObject({ code: 'TOO_FEW_BROKERS', exitCode: 3 });
    });
  });

  test('a Kafka on the port of the compose file is not taken for the compose file\u2019s', async () => {
    expect(await kafka.isOurContainer(url(one))).toBe(false);
  });
});

test('lent one after another, the next borrower finds nothing of the last', { timeout: SLOW }, async () => {
  await using lessor = await openLessor({ ahead: false });
  for (const [name, value] of Object.entries(lessor.env)) vi.stubEnv(name, value);
  const borrow = async (act: (lent: KafkaServers) => Promise<void>) => {
    await using lent = await startKafka();
    await act(lent);
    return { port: lent.brokers[0].port, namespace: lent.namespace };
  };
  const first = await borrow(async ({ bootstrap, namespace, brokers }) => {
    await create(bootstrap, `${namespace}left`);
    const network = await brokers[0].proxy();
    await send([new URL(network.url).host], `${namespace}left`, 'through the network');
    network.partition();
    expect([await answers(brokers[0]), await answers({ host: '127.0.0.1', port: network.port })]).toEqual([
      true,
      false,
    ]);
  });
  const second = await borrow(async ({ bootstrap, namespace, brokers }) => {
    expect(namespace).not.toBe(first.namespace);
    expect(await withAdmin(bootstrap, (admin) => admin.listTopics())).not.toContain(`${first.namespace}left`);
    expect(await answers({ host: '127.0.0.1', port: (await brokers[0].proxy()).port }), 'healed').toBe(true);
    await brokers[0].kill();
  });
  const third = await borrow(async ({ brokers }) => expect(await answers(brokers[0])).toBe(true));
  expect([second.port === first.port, third.port === first.port]).toEqual([true, false]);
});

test('a URL that cannot be used is a typed error that names the variable', async () => {
  await using silent = await stranger();
  await using chatty = await stranger(0, (socket) => socket.write('220 mail.example ESMTP ready\r\n'));
  const unreachable = [
    ['kafka://127.0.0.1:1', 'ECONNREFUSED'],
    [`kafka://127.0.0.1:${silent.port}`, 'no answer within'],
    [`kafka://127.0.0.1:${chatty.port}`, 'not a Kafka'],
  ] as const;
  for (const [given, words] of unreachable) {
    usersKafka(given);
    const { error } = await failure(startKafka());
    expect(error).toBeInstanceOf(UnreachableUrlError);
    for (const word of [words, 'KAFKA_URL']) expect(error.message).toContain(word);
  }
  for (const given of ['http://127.0.0.1', 'localhost:9092', 'kafka:9092', 'kafka://me:secret@127.0.0.1:9092']) {
    usersKafka(given);
    const { error } = await failure(startKafka());
    expect(error).toBeInstanceOf(BadSettingError);
    expect(error.message).toContain('KAFKA_URL');
    expect(error.message).not.toContain('secret');
  }
  vi.stubEnv('KAFKA_URL', '');
  vi.stubEnv('KAFKA_BROKERS', 'kafka://127.0.0.1:1');
  expect((await failure(startKafka())).error.message).toContain('KAFKA_BROKERS is not an address');
});

test('a number of brokers that is neither 1 nor 3 is a RangeError', async () => {
  const wrong: unknown = { brokers: 2 };
  expect((await failure(Reflect.apply(startKafka, undefined, [wrong]))).error).toBeInstanceOf(RangeError);
});

test('after kill -9 of the parent no process and no folder is left', { timeout: SLOW }, async () => {
  await using folder = await temporary();
  await chmod(folder.path, 0o755);
  const script = new Script('hold-kafka.ts', { TMPDIR: folder.path });
  await until('the broker is up', () => script.output.includes('\n'), SLOW);
  expect((await processesIn(folder.path)).length).toBe(1);
  script.child.kill('SIGKILL');
  await script.ended();
  const gone = async () => (await readdir(folder.path)).length === 0 && (await processesIn(folder.path)).length === 0;
  await until('nothing is left', gone, 10_000);
});

test('an abort during the start rejects with its reason, and leaves nothing', { timeout: SLOW }, async () => {
  await using folder = await temporary();
  vi.stubEnv('TMPDIR', folder.path);
  const abort = new AbortController();
  const starting = startKafka({ brokers: 3, signal: abort.signal });
  await until('a broker runs', async () => (await processesIn(folder.path)).length > 0);
  abort.abort(new Error('Ctrl-C'));
  expect((await failure(starting)).error.message).toBe('Ctrl-C');
  expect([await readdir(folder.path), await processesIn(folder.path)]).toEqual([[], []]);
});
