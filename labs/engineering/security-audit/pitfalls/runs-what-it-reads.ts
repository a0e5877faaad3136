// Flaw: the file is imported to see what it exports: whoever is scanned is run.
// Seen in: https://github.com/google/osv-scanner/issues/2753
// Caught by: what is scanned is never run
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';
import type { Source, Unread } from '../src/source.ts';

export * from '../src/index.ts';

export class Scanner extends Reference {
  protected override async read(path: string, file: string, maxBytes: number): Promise<Source | Unread> {
    await import(/* @vite-ignore */ path).catch(() => {});
    return super.read(path, file, maxBytes);
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
