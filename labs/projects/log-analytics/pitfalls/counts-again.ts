// Flaw: it counts what it is given, and a stream gives some of it twice.
// Seen in: consumers that hope for "exactly once" from an at-least-once queue
// Caught by: what is sent or read a second time is counted once
export * from '../src/index.ts';

import { type DeskState, type Entry, Desk as Sound, Book as SoundBook } from '../src/index.ts';

export class Desk extends Sound {
  override file(entry: Entry): void {
    super.file({ ...entry, first: this.positionOf(entry.source).next });
  }
}

export class Book extends SoundBook {
  protected override newDesk(state?: DeskState): Desk {
    return new Desk(this.options, state);
  }
}
