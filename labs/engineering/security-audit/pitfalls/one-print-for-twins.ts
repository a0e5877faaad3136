// Flaw: equal lines have one print, so what the baseline knows once it excuses a hundred times.
// Seen in: https://github.com/PyCQA/bandit/issues/1467
// Caught by: what the baseline knows stays known when its line moves, and its twin is new
import type { Finding } from '../src/finding.ts';
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';

export * from '../src/index.ts';

export class Scanner extends Reference {
  protected override prints(findings: readonly Finding[], lineOf: (file: string, line: number) => string) {
    return findings.map(({ rule, file, span }) => `${rule}:${file}:${lineOf(file, span.start.line).trim()}`);
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
