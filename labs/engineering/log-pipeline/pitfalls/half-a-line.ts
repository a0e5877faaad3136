// Flaw: what stands behind the last newline is taken for a line, so one that is being written is shipped in two halves.
// Seen in: https://github.com/elastic/filebeat/issues/296
// Caught by: a line is shipped when it is whole, in whatever pieces it was written and read
import { Shipper as Reference } from '../src/index.ts';
import type { Line } from '../src/lines.ts';

export * from '../src/index.ts';

export class Shipper extends Reference {
  protected override split(bytes: Buffer, offset: number): Line[] {
    const lines = super.split(bytes, offset);
    const start = lines.at(-1)?.end ?? offset;
    const text = bytes.toString('utf8', start - offset);
    return text === '' ? lines : [...lines, { start, end: offset + bytes.length, text }];
  }
}
