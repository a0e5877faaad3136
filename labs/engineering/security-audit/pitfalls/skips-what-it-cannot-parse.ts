// Flaw: a file that can't be parsed is skipped in silence: nothing found, exit code 0.
// Seen in: https://github.com/PyCQA/bandit/issues/1326
// Caught by: a file that was not looked at is a finding, and the others are scanned
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';
import { parseSource, type Source, type Unread } from '../src/source.ts';

export * from '../src/index.ts';

export class Scanner extends Reference {
  protected override async read(path: string, file: string, maxBytes: number): Promise<Source | Unread> {
    const source = await super.read(path, file, maxBytes);
    return 'rule' in source ? parseSource(file, '') : source;
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
