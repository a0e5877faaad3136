// Flaw: what is announced is a list of what may be ignored; an entry whose error was mended long ago hides the next one.
// Seen in: https://github.com/oppia/oppia/issues/12770
// Caught by: an error that is announced fails nothing; one that is announced and never comes does
import { Guard as Reference } from '../src/guard.ts';

export * from '../src/index.ts';

export class Guard extends Reference {
  override async verify(): Promise<void> {
    for (const each of this.announced) each.heard = true;
    await super.verify();
  }
}
