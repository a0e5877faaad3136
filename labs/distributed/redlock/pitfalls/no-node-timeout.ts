// Flaw: no limit on a node's answer, so a hung majority hangs every caller.
// Seen in: https://github.com/redisson/redisson/issues/1636, and node-redlock 5.0.0-beta.2 (see bench.ts)
// Caught by: a hung majority is refused in bounded time
import type { Redis } from 'ioredis';
import { Redlock as Reference } from '../src/index.ts';
import type { Ballot } from '../src/poll.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override ask(_timeoutMs: number, request: (node: Redis) => Promise<boolean>): Promise<Ballot> {
    const aDay = 86_400_000;
    return super.ask(aDay, request);
  }
}
