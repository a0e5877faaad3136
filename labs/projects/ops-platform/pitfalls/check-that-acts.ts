// Flaw: check mode is known to the files only, and commands are run all the same.
// Seen in: scripts in which --dry-run was added to the functions that somebody remembered
// Caught by: check mode says what would change, and changes nothing
export * from '../src/index.ts';

import { type CommandSpec, type Execute, Machine as Sound } from '../src/index.ts';

export class Machine extends Sound {
  protected override command(spec: CommandSpec, _check: boolean, execute: Execute): Promise<boolean> {
    return super.command(spec, false, execute);
  }
}
