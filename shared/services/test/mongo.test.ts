import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describeWith } from '@shared/testkit';
import { MongoClient } from 'mongodb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { processesIn } from '../src/belongings.ts';
import {
  BadSettingError,
  FaultUnavailableError,
  inspectServices,
  MissingServerError,
  type MongoServers,
  ProvisionError,
  startMongo,
} from '../src/index.ts';
import { openLessor } from '../src/lessor.ts';
import { onPath } from '../src/service.ts';
import { failure, listens, pathOf, Script, temporary, until } from './support.ts';

const SLOW = 60_000;

// A mongod where there is one; the stand-in is what every machine with Python can have.
beforeEach(() => {
  vi.stubEnv('LABS_MONGO', 'stand-in');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

async function withClient<T>(url: string, act: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 2000 });
  try {
    return await act(client);
  } finally {
    await client.close();
  }
}

const dishes = (url: string) =>
  withClient(url, async (client) =>
    (await client.db().collection<{ name: string }>('dishes').find().toArray()).map(({ name }) => name),
  );
const add = (url: string, name: string) =>
  withClient(url, (client) =>
    client
      .db()
      .collection('dishes')
      .insertOne({ name }, { writeConcern: { w: 'majority' } }),
  );
const databases = (url: string) =>
  withClient(url, async (client) => (await client.db().admin().listDatabases()).databases.map(({ name }) => name));

process.env['LABS_MONGO'] = 'stand-in';
await describeWith('two servers', { mongo: () => startMongo(), other: () => startMongo() }, ({ mongo, other }) => {
  test('have a database of our own each', { timeout: SLOW }, async () => {
    expect(mongo.banner).toMatch(/^mongo: embedded (\d+\.\d+|stand-in \(.*\), not a mongod$)/);
    expect(mongo.banner.includes('stand-in')).toBe(mongo.standIn !== undefined);
    await add(mongo.url, 'noodles');
    expect([await dishes(mongo.url), await dishes(other.url)]).toEqual([['noodles'], []]);
    expect(await databases(mongo.url)).toContain(mongo.database);
    expect(await databases(other.url)).not.toContain(mongo.database);
  });

  test('have transactions and change streams: each is a replica set of one', { timeout: SLOW }, async () => {
    await withClient(mongo.url, async (client) => {
      const books = client.db().collection<{ _id: string; sum: number }>('books');
      await books.insertOne({ _id: 'till', sum: 10 });
      await using stream = books.watch();
      const next = stream.next();
      const half = client.withSession((session) =>
        session.withTransaction(async () => {
          await books.updateOne({ _id: 'till' }, { $inc: { sum: 5 } }, { session });
          throw new Error('the power fails');
        }),
      );
      expect((await failure(half)).error.message).toBe('the power fails');
      expect(await books.findOne({ _id: 'till' })).toEqual({ _id: 'till', sum: 10 });
      await books.updateOne({ _id: 'till' }, { $inc: { sum: 7 } });
      expect(await next).toMatchObject({ operationType: 'update', updateDescription: { updatedFields: { sum: 17 } } });
    });
  });

  test('keep what they acknowledged when they are killed', { timeout: SLOW }, async () => {
    const [node] = other.nodes;
    for (let n = 0; n < 20; n += 1) await add(other.url, `dish ${n}`);
    await node.kill();
    expect([node.state, await listens(node.port)]).toEqual(['down', false]);
    await node.restart();
    expect(node.state).toBe('up');
    expect(await dishes(other.url)).toHaveLength(20);
  });

  test('stand still when they are paused, and behind a network that is cut', { timeout: SLOW }, async () => {
    const [node] = other.nodes;
    await node.pause();
    const asked = add(other.url, 'late').then(() => 'answered');
    expect(
      await Promise.race([asked.catch(() => 'refused'), new Promise((resolve) => setTimeout(resolve, 300, 'silent'))]),
    ).toBe('silent');
    await node.resume();
    expect(await asked).toBe('answered');
    await using net = await node.proxy();
    expect(await dishes(net.url)).toContain('late');
    net.partition();
    expect((await failure(dishes(net.url))).error.name).toBe('MongoServerSelectionError');
  });

  test('what is more than one node is refused by a stand-in, and says what it needs', { timeout: SLOW }, async () => {
    if (mongo.standIn === undefined) {
      await using set = await startMongo({ replicaSet: 3 });
      expect(set.nodes).toHaveLength(3);
      return;
    }
    for (const options of [{ replicaSet: 3 }, { shards: 2 }] as const) {
      const { error } = await failure(startMongo(options));
      expect(error).toBeInstanceOf(MissingServerError);
      expect(error.message).toContain('needs a mongod');
    }
  });

  describe('on a server of the user’s', () => {
    const users = (): void => {
      vi.stubEnv('LABS_SERVICES', undefined);
      vi.stubEnv('MONGODB_URL', mongo.nodes[0].url);
    };

    test('the lab keeps to a database of its own, and drops it', { timeout: SLOW }, async () => {
      users();
      let database: string;
      {
        await using own = await startMongo();
        expect([own.origin, own.faults, own.standIn]).toEqual(['url', false, mongo.standIn]);
        ({ database } = own);
        expect(database).not.toBe(mongo.database);
        await add(own.url, 'soup');
        expect(await databases(mongo.url)).toContain(database);
        expect((await failure(own.nodes[0].kill())).error).toBeInstanceOf(FaultUnavailableError);
      }
      expect(await databases(mongo.url)).not.toContain(database);
      expect(await dishes(mongo.url)).toEqual(['noodles']);
    });

    test('a set of three is refused: its members could not be killed', async () => {
      users();
      const { error } = await failure(startMongo({ replicaSet: 3 }));
      expect(error).toBeInstanceOf(MissingServerError);
      expect(error.message).toContain('Unset MONGODB_URL');
    });

    test('one that does not answer is named, without its password', { timeout: SLOW }, async () => {
      vi.stubEnv('LABS_SERVICES', undefined);
      vi.stubEnv('MONGODB_URL', 'mongodb://cook:secret@127.0.0.1:1/');
      const { error } = await failure(startMongo());
      expect(error).toMatchObject({ code: 'UNREACHABLE_URL' });
      expect(error.message).not.toContain('secret');
    });
  });

  test('lent one after another, the next borrower finds nothing of the last', { timeout: SLOW }, async () => {
    await using lessor = await openLessor({ ahead: false });
    for (const [name, value] of Object.entries(lessor.env)) vi.stubEnv(name, value);
    const borrow = async (act: (lent: MongoServers) => Promise<void>) => {
      await using lent = await startMongo();
      await act(lent);
      return { port: lent.nodes[0].port, database: lent.database };
    };
    const first = await borrow((lent) => add(lent.url, 'leftovers').then(() => {}));
    const second = await borrow(async (lent) => {
      expect(await dishes(lent.url)).toEqual([]);
      expect(await databases(lent.url)).not.toContain(first.database);
      expect(lent.standIn).toBe(mongo.standIn);
      await lent.nodes[0].kill();
    });
    const third = await borrow(async (lent) => {
      await add(lent.url, 'fresh');
    });
    expect(second.port).toBe(first.port);
    expect(third.port).not.toBe(first.port);
  });

  test('a lab that is killed leaves no process and no folder', { timeout: SLOW }, async () => {
    await using temp = await temporary();
    const script = new Script('hold-mongo.ts', { TMPDIR: temp.path });
    await script.says();
    const [folder = ''] = (await readdir(temp.path)).filter((name) => name.startsWith('labs-mongo-'));
    expect((await processesIn(join(temp.path, folder))).length).toBeGreaterThan(0);
    script.child.kill('SIGKILL');
    await until('its folder is gone', async () => (await readdir(temp.path)).length === 0, 15_000);
    expect(await processesIn(join(temp.path, folder))).toEqual([]);
  });
});

test('LABS_MONGO is "stand-in", or unset', async () => {
  vi.stubEnv('LABS_MONGO', 'ferret');
  const home = await temporary();
  await using _home = home;
  vi.stubEnv('XDG_CACHE_HOME', home.path);
  vi.stubEnv('PATH', home.path);
  expect((await failure(startMongo())).error).toBeInstanceOf(BadSettingError);
});

test.each([{ replicaSet: 2 }, { shards: 3 }, { replicaSet: 3, shards: 2 }])('%j is refused', async (options) => {
  // @ts-expect-error: what a program without types may ask for
  expect((await failure(startMongo(options))).error).toBeInstanceOf(RangeError);
});

test('a machine with neither is told of every way, and its report says so', async () => {
  await using folder = await temporary();
  vi.stubEnv('LABS_MONGO', undefined);
  vi.stubEnv('PATH', folder.path);
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  vi.stubEnv('LABS_PROVISION', 'never');
  const { error } = await failure(startMongo());
  expect(error).toBeInstanceOf(MissingServerError);
  for (const way of ['LABS_MONGO=stand-in', '--profile mongo', 'MONGODB_URL=mongodb://', 'unset LABS_PROVISION']) {
    expect(error.message).toContain(way);
  }
  expect(await inspectServices(['mongo'])).toMatchObject([{ available: false, origin: undefined }]);
  expect(await readdir(folder.path)).toEqual([]);
});

test.skipIf((await onPath('flock')) === undefined)(
  'a pip that fails is a ProvisionError with its words; nothing of it is kept',
  async () => {
    await using folder = await temporary();
    vi.stubEnv('XDG_CACHE_HOME', folder.path);
    const python = `#!/bin/sh
case "$*" in
  -c*) echo 3.99 ;;
  *venv*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python3" ;;
  *) echo "ERROR: No matching distribution found" >&2; exit 1 ;;
esac
`;
    const tools = { flock: undefined, sh: undefined, cat: undefined, mkdir: undefined, cp: undefined };
    vi.stubEnv('PATH', await pathOf(folder.path, { ...tools, python3: python }));
    const { error } = await failure(startMongo());
    expect(error).toBeInstanceOf(ProvisionError);
    expect(error.message).toContain('| ERROR: No matching distribution found');
    expect(await readdir(join(folder.path, 'concept-labs', 'pip'))).toEqual(['lock']);
  },
);
