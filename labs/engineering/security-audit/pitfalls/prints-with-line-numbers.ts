// Flaw: the baseline knows a finding by its line number: a line more above it, and all are new.
// Seen in: https://github.com/Extra-Chill/homeboy/issues/14738
// Caught by: what the baseline knows stays known when its line moves, and its twin is new
import type { Finding } from '../src/finding.ts';
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';

export * from '../src/index.ts';

export class Scanner extends Reference {
  protected override prints(findings: readonly Finding[]): readonly string[] {
    return findings.map(({ rule, file, span }) => `${rule}:${file}:${span.start.line}`);
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
