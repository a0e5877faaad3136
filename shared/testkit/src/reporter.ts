// Runs beside vitest: turns its events into those that the supervisor renders.
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { explain } from './explain.ts';
import type { TraceEvent } from './trace.ts';

export function reporter(root: string, tell: (event: TraceEvent) => void): Reporter {
  return {
    onTestCaseResult(test) {
      const result = test.result();
      if (result.state === 'pending') return;
      tell({
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
      for (const error of suite.errors()) tell({ type: 'problem', text: `${suite.name}: ${explain(error, root)}` });
    },
    onTestModuleEnd(module: TestModule) {
      for (const error of module.errors()) {
        tell({ type: 'problem', text: `${module.relativeModuleId}: ${explain(error, root)}` });
      }
    },
    onUserConsoleLog(log) {
      tell({ type: 'log', text: log.content });
    },
    onTestRunEnd(_modules, unhandled) {
      for (const error of unhandled) tell({ type: 'problem', text: `outside any test: ${explain(error, root)}` });
    },
  };
}

function suites(test: TestCase): string[] {
  const path: string[] = [];
  for (let at = test.parent; at.type === 'suite'; at = at.parent) path.unshift(at.name);
  return path;
}
