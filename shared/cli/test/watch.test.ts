import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@shared/testkit';
import { expect, test } from 'vitest';
import { type WatchOptions, watchFolder } from '../src/learn/watch.ts';
import { house } from './house.ts';

async function watched(options: WatchOptions) {
  const home = await house({ 'attempt/index.ts': 'one' });
  const dir = join(home.root, 'labs/language/once/attempt');
  let changes = 0;
  const watch = await watchFolder(
    dir,
    () => {
      changes += 1;
    },
    { settleMs: 10, ...options },
  );
  return {
    file: join(dir, 'index.ts'),
    dir,
    changes: () => changes,
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

/** A watcher that never says a word, as on some network mounts. */
const deaf = () => ({ close: () => {} });
const polling = { pollMs: 15, watcher: deaf };
const listening = { pollMs: 60_000 };

test('a save is told by the system, without waiting for the poll', async () => {
  await using files = await watched(listening);
  await writeFile(files.file, 'two');
  await until(() => files.changes() >= 1, { what: 'the change' });
});

test('where the watcher is deaf, polling tells', async () => {
  await using files = await watched(polling);
  await writeFile(files.file, 'two');
  await until(() => files.changes() >= 1, { what: 'the change' });
});

test('a save that changes nothing is no change', async () => {
  await using files = await watched(polling);
  await writeFile(files.file, 'one');
  await delay(60);
  expect(files.changes()).toBe(0);
});

test.each([listening, polling])('an editor that replaces the file by renaming is seen: %o', async (options) => {
  await using files = await watched(options);
  await writeFile(`${files.file}~`, 'two');
  await rename(`${files.file}~`, files.file);
  await until(() => files.changes() >= 1, { what: 'the change' });
});

test('a file that comes or goes is a change', async () => {
  await using files = await watched(polling);
  await writeFile(join(files.dir, 'more.ts'), 'x');
  await until(() => files.changes() >= 1, { what: 'the new file' });
  const before = files.changes();
  await rm(join(files.dir, 'more.ts'));
  await until(() => files.changes() > before, { what: 'the removal' });
});

test('a save in several steps is told once, when it is over', async () => {
  // Far longer than a pause between two steps, on a busy machine too.
  await using files = await watched({ pollMs: 5, watcher: deaf, settleMs: 1500 });
  for (let step = 0; step < 5; step += 1) {
    await writeFile(files.file, `step ${step}`);
    await delay(15);
  }
  expect(files.changes()).toBe(0);
  await until(() => files.changes() === 1, { what: 'the change' });
});

test('after it is closed, nothing is told', async () => {
  const files = await watched(polling);
  await files[Symbol.asyncDispose]();
  await delay(60);
  expect(files.changes()).toBe(0);
});
