// Flaw: an entry has an end, and nobody renews it: who stays for long is not there any more.
// Seen in: https://github.com/reddit-archive/reddit-plugin-robin/issues/47
// Caught by: who is there is known in all processes, and a process that is killed takes its people along
import { Presence as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Presence extends Reference {
  protected override async beat(): Promise<void> {}
}
