// Flaw: the log is known by its name alone, so what was written before it was renamed is never read.
// Seen in: https://github.com/hpcloud/tail/issues/127
// Caught by: a rotation by renaming loses no line and ships none twice
import type { FileHandle } from 'node:fs/promises';
import { Shipper as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Shipper extends Reference {
  protected override async find(): Promise<FileHandle | undefined> {
    const file = await this.open(this.o.path);
    if (!file || this.place.head === '' || (await this.holds(file))) return file;
    this.startAnew();
    return file;
  }
}
