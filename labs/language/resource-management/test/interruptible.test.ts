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
  const child = spawn(process.execPath, [resolve(dir, 'test/holder.ts'), implementation, how]);
  const ended = once(child, 'close');
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  return {
    said: () => said.trim().split('\n'),
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    saying: (text: string) => until(() => said.includes(text), { what: `the process to say "${text}"` }),
    end: async () => (await ended)[1] ?? (await ended)[0],
  };
};

describe.concurrent('a process that is told to end', () => {
  test('SIGTERM and Ctrl-C give everything back, and then end the process', async ({ onTestFinished }) => {
    await Promise.all(
      (['SIGTERM', 'SIGINT'] as const).map(async (signal) => {
        const it = holder('plain', onTestFinished);
        await it.saying('locker held');
        it.kill(signal);
        expect(await it.end(), it.said().join('\n')).toBe(signal);
        expect(it.said()).toEqual(['locker held', `locker: ${signal}`, 'locker given back']);
      }),
    );
  });

  test('a second signal ends at once what does not listen to the first', async ({ onTestFinished }) => {
    const it = holder('stubborn', onTestFinished);
    await it.saying('locker held');
    it.kill('SIGTERM');
    // The first one has arrived when there is no listener left: then the second one meets none.
    const again = setInterval(() => it.kill('SIGTERM'), 50);
    onTestFinished(() => clearInterval(again));
    expect(await it.end()).toBe('SIGTERM');
    expect(it.said()).toEqual(['locker held']);
  });

  test('the last of several to exit ends the process', async ({ onTestFinished }) => {
    const it = holder('nested', onTestFinished);
    await it.saying('inner held');
    it.kill('SIGTERM');
    expect(await it.end(), it.said().join('\n')).toBe('SIGTERM');
    expect(it.said()).toEqual(['inner held', 'inner: SIGTERM', 'inner given back', 'outer given back']);
  });

  test('without a signal the process goes on, and nobody listens any more', async ({ onTestFinished }) => {
    const it = holder('uninterrupted', onTestFinished);
    expect(await it.end()).toBe(0);
    expect(it.said()).toEqual(['1 listens', '0 listens']);
  });
});
