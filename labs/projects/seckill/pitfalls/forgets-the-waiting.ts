// Flaw: a count replaces all that the gate knows, and with it those who were told yes and whose orders are on their way.
// Seen in: DEL and HSET from the database, as a cache is warmed
// Caught by: who was told yes and waits for his order keeps it when the gate is counted anew
export * from '../src/index.ts';

import { Gate as Sound } from '../src/index.ts';
import { scripts } from '../src/scripts.ts';

export class Gate extends Sound {
  protected override readonly scripts = { ...scripts, load: scripts.load.replace('if order and', 'if false and') };
}
