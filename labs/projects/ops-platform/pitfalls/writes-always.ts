// Flaw: writes the file without a look at what is there: every run is a change, and what a change sets off is set off each time.
// Seen in: deploy scripts that copy all files and restart everything
// Caught by: a second run changes nothing, and says so
export * from '../src/index.ts';

import { type FileSpec, Machine as Sound } from '../src/index.ts';

export class Machine extends Sound {
  protected override async file({ path, content, mode }: FileSpec, check: boolean): Promise<boolean> {
    if (!check) await this.put(path, content, mode);
    return true;
  }
}
