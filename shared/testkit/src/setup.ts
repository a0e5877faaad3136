// Runs in every worker before its test file (setupFiles of the preset).
import { flushCompileCache } from 'node:module';
import { afterAll, afterEach, beforeEach, vi } from 'vitest';
import { touched } from './evidence.ts';
import { patient } from './patience.ts';
import { keepResolved } from './resolved.ts';
import { trace } from './trace.ts';

const pid = process.pid;
trace({ type: 'worker', pid });
const [testTimeout = 5000, hookTimeout = 10_000] = (process.env['LAB_TIMEOUTS'] ?? '').split(' ').map(Number);
vi.setConfig({ testTimeout: patient(testTimeout), hookTimeout: patient(hookTimeout) });

setInterval(() => trace({ type: 'beat', pid }), 500).unref();

beforeEach(({ task, onTestFailed }) => {
  trace({ type: 'start', pid, id: task.id, name: task.name });
  touched.clear();
  onTestFailed(() => {
    for (const history of touched) trace({ type: 'evidence', id: task.id, text: String(history) });
  });
});

afterEach(({ task }) => trace({ type: 'end', pid, id: task.id }));

// A worker is killed at its end, and would leave nothing compiled and nothing found for the next.
afterAll(() => {
  flushCompileCache();
  keepResolved();
});
