// Flaw: a text that was cleaned once is clean for ever, wherever it goes.
// Seen in: https://github.com/github/codeql/pull/12424
// Caught by: what cleans a text for one place leaves it dangerous for another
import { Flows } from '../src/flow.ts';
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';
import type { Project } from '../src/project.ts';

export * from '../src/index.ts';

class Trusting extends Flows {
  protected override isClean(name: string): boolean {
    const all = ['code', 'shell', 'sql', 'path', 'html', 'data', 'pattern'] as const;
    return all.some((sink) => super.isClean(name, sink));
  }
}

export class Scanner extends Reference {
  protected override flows(project: Project): Flows {
    return new Trusting(project);
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
