// Flaw: a truncation is known by its size alone, so a log that has grown beyond the old place is read on from its middle.
// Seen in: https://github.com/rsyslog/rsyslog/issues/2640
// Caught by: a rotation by copying and truncating loses no line and ships none twice
import type { FileHandle } from 'node:fs/promises';
import { Shipper as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Shipper extends Reference {
  protected override async read(file: FileHandle): Promise<Buffer | undefined> {
    const { size } = await file.stat();
    if (size < this.place.offset) return undefined;
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(this.o.batchBytes),
      0,
      this.o.batchBytes,
      this.place.offset,
    );
    return buffer.subarray(0, bytesRead);
  }
}
