// Flaw: XADD … MAXLEN makes room in a full stream by what nobody has counted yet.
// Seen in: the first example of most tutorials on Redis streams
// Caught by: a full intake refuses and forgets nothing, and what is sent again is counted
export * from '../src/index.ts';

import { Intake as Sound } from '../src/index.ts';

export class Intake extends Sound {
  protected override async add(source: string, first: number, text: string): Promise<boolean> {
    const entry = ['source', source, 'first', first, 'text', text];
    await this.redis.xadd(this.key, 'MAXLEN', this.limit, '*', ...entry);
    return true;
  }
}
