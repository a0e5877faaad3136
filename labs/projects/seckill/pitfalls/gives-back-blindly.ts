// Flaw: puts a unit back on sale whenever it is told to, whether or not the reservation is still there.
// Seen in: INCR in the handler of "order cancelled", which is delivered at least once
// Caught by: an order that nobody pays gives its unit back once, however many look
export * from '../src/index.ts';

import { Gate as Sound } from '../src/index.ts';
import { scripts } from '../src/scripts.ts';

export class Gate extends Sound {
  protected override readonly scripts = {
    ...scripts,
    giveBack: scripts.giveBack.replace(/if .* then return 0 end\n/, ''),
  };
}
