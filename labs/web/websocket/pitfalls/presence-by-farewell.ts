// Flaw: who is there is until it says goodbye: a process that is killed says none, and its people stay.
// Seen in: https://github.com/janusvr/janus-server/issues/63
// Caught by: who is there is known in all processes, and a process that is killed takes its people along
import { type PresenceOptions, Presence as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Presence extends Reference {
  constructor(options: PresenceOptions) {
    super({ ...options, ttlMs: 2 ** 31 - 1 });
  }
}
