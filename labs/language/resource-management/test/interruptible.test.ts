import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { until } from '@shared/testkit';
import { describe, expect, type OnTestFinishedHandler, test } from 'vitest';

const dir = resolve(import.meta.dirname, '..');
const implementation = pathToFileURL(resolve(dir, process.env['LAB_IMPL'] ?? 'src/index.ts')).href;

/** A process that holds a locker, what it has said, and how it ends. */
const holder = (how: string, onTestFinished: (end: OnTestFinishedHandler) => void) => {
  const program = spawn(process.execPath, [resolve(dir, 'test/holder.ts'), implementation, how]);
  const ended = once(program, 'close');
  onTestFinished(() => void program.kill('SIGKILL'));
  let said = '';
  let over = false;
  ended.then(() => (over = true));
  for (const stream of [program.stdout, program.stderr]) stream.on('data', (chunk) => (said += chunk));
  return {
    said: () => said.trim().split('\n'),
    kill: (signal: NodeJS.Signals) => program.kill(signal),
    saying: async (text: string) => {
      await until(() => over || said.includes(text), { what: `the process to say "${text}"` });
      expect(said).toContain(text);
    },
    end: async () => (await ended)[1] ?? (await ended)[0],
  };
};

describe.concurrent('a process that is told to end', () => {
  test('SIGTERM and Ctrl-C give everything back, and then end the process', async ({ onTestFinished }) => {
    await Promise.all(
      (['SIGTERM', 'SIGINT'] as const).map(async (signal) => {
        const child = holder('interruptible', onTestFinished);
        await child.saying('locker held');
        child.kill(signal);
        expect(await child.end(), child.said().join('\n')).toBe(signal);
        expect(child.said()).toEqual(['locker held', `locker: ${signal}`, 'locker given back']);
      }),
    );
  });

  test('a second signal ends at once what does not listen to the first', async ({ onTestFinished }) => {
    const child = holder('stubborn', onTestFinished);
    await child.saying('locker held');
    child.kill('SIGTERM');
    // The first one has arrived when there is no listener left: then the second one meets none.
    const again = setInterval(() => child.kill('SIGTERM'), 50);
    onTestFinished(() => clearInterval(again));
    expect(await child.end()).toBe('SIGTERM');
    expect(child.said()).toEqual(['locker held']);
  });

  test('the last of several to exit ends the process', async ({ onTestFinished }) => {
    const child = holder('nested', onTestFinished);
    await child.saying('inner held');
    child.kill('SIGTERM');
    expect(await child.end(), child.said().join('\n')).toBe('SIGTERM');
    expect(child.said()).toEqual([
      'outer held',
      'inner held',
      'inner: SIGTERM',
      'inner given back',
      'outer given back',
    ]);
  });

  test('all are aborted, whichever of them listens, and who enters later too', async ({ onTestFinished }) => {
    const child = holder('aside', onTestFinished);
    await child.saying('locker held');
    child.kill('SIGINT');
    expect(await child.end(), child.said().join('\n')).toBe('SIGINT');
    expect(child.said().toSorted()).toEqual(
      [
        'early held',
        'locker held',
        'locker: SIGINT',
        'late: SIGINT',
        'locker given back',
        'early given back',
      ].toSorted(),
    );
  });

  test('without a signal, or with one that is refused, the process goes on, and nobody listens any more', async ({
    onTestFinished,
  }) => {
    const child = holder('uninterrupted', onTestFinished);
    expect(await child.end()).toBe(0);
    expect(child.said()).toEqual(['1 listens', '0 listens', 'SIGKILL refused', '0 listens']);
  });
});
