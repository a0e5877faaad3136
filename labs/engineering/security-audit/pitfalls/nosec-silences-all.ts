// Flaw: a bare nosec silences whatever is on its line, today's fault and tomorrow's.
// Seen in: https://github.com/gramener/gramex/pull/562
// Caught by: a suppression is followed if it names the rule and a reason, and reported if it does not, or does nothing
import type { Finding, Judged, Suppression } from '../src/finding.ts';
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';

export * from '../src/index.ts';

export class Scanner extends Reference {
  protected override judge(found: readonly Finding[], suppressions: readonly Suppression[]): Judged {
    const silent = (finding: Finding) =>
      suppressions.some(({ file, covers }) => file === finding.file && covers[0] === finding.span.start.line);
    const suppressed = found.filter(silent).map((finding) => ({ finding, reason: 'nosec' }));
    return { findings: found.filter((finding) => !silent(finding)), suppressed };
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
