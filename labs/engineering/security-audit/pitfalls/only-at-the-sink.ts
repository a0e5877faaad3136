// Flaw: a stranger's words are seen where they stand in the call itself; one variable hides them.
// Seen in: https://github.com/semgrep/semgrep/pull/4323
// Caught by: a stranger's words are followed through variables to where they do harm
import { type Flow, Flows } from '../src/flow.ts';
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';
import type { Project } from '../src/project.ts';

export * from '../src/index.ts';

class Shortsighted extends Flows {
  protected override bound(): Flow {
    return { kind: 'unknown' };
  }
}

export class Scanner extends Reference {
  protected override flows(project: Project): Flows {
    return new Shortsighted(project);
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
