// Flaw: a pattern over the lines of text, which can't tell code from comments, texts and longer words.
// Seen in: https://github.com/openclaw/openclaw/pull/116280
// Caught by: words in comments and texts are no code, and a call is one wherever it stands
import type { Flows } from '../src/flow.ts';
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';
import type { Module, Project } from '../src/project.ts';
import type { Report } from '../src/rules.ts';

export * from '../src/index.ts';

export class Scanner extends Reference {
  protected override inspect(_project: Project, _flows: Flows, module: Module, report: Report): void {
    let offset = 0;
    for (const line of module.lines) {
      const at = line.search(/\beval\(/);
      const place = { ...module.program, start: offset + Math.max(at, 0), end: offset + line.length };
      if (at >= 0) report('code-injection', place, 'eval');
      offset += line.length + 1;
    }
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
