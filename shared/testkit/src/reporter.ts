// Runs in vitest's main process: turns its events into trace lines. The supervisor renders them.
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { explain } from './explain.ts';
import { trace } from './trace.ts';

export function reporter(root: string): Reporter {
  if (process.env['LAB_LIFELINE']) followParent();
  return {
    onTestCaseResult(test) {
      const result = test.result();
      if (result.state === 'pending') return;
      trace({
        type: 'result',
        id: test.id,
        result: {
          name: test.name,
          path: suites(test),
          file: test.module.relativeModuleId,
          state: result.state,
          ms: test.diagnostic()?.duration ?? 0,
          ...(result.state === 'failed' ? { error: result.errors.map((each) => explain(each, root)).join('\n') } : {}),
          ...(result.state === 'skipped' && result.note !== undefined ? { note: result.note } : {}),
        },
      });
    },
    onTestSuiteResult(suite) {
      for (const error of suite.errors()) trace({ type: 'problem', text: `${suite.name}: ${explain(error, root)}` });
    },
    onTestModuleEnd(module: TestModule) {
      for (const error of module.errors()) {
        trace({ type: 'problem', text: `${module.relativeModuleId}: ${explain(error, root)}` });
      }
    },
    onUserConsoleLog(log) {
      trace({ type: 'log', text: log.content });
    },
    onTestRunEnd(_modules, unhandled) {
      for (const error of unhandled) trace({ type: 'problem', text: `outside any test: ${explain(error, root)}` });
      trace({ type: 'done' });
    },
  };
}

function suites(test: TestCase): string[] {
  const path: string[] = [];
  for (let at = test.parent; at.type === 'suite'; at = at.parent) path.unshift(at.name);
  return path;
}

/** Our stdin is a pipe that the supervisor holds: it closes when the supervisor dies, `kill -9` included. */
function followParent(): void {
  process.stdin.on('end', () => process.kill(-process.pid, 'SIGKILL'));
  process.stdin.on('error', () => undefined);
  process.stdin.resume();
  // Listening must not keep a finished run alive.
  if ('unref' in process.stdin) process.stdin.unref();
}
