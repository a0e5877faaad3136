// Flaw: a line that comes after its window is closed is dropped, and nobody is told.
// Seen in: the defaults of stream processors, where late data goes nowhere unless a side output is asked for
// Caught by: a line that comes after its window is closed is put aside, and changes no figure that stands
export * from '../src/index.ts';

import { type Aside, type DeskState, Desk as Sound, Book as SoundBook } from '../src/index.ts';

export class Desk extends Sound {
  protected override putAside(it: Omit<Aside, 'reason'>, reason: Aside['reason']): void {
    if (reason !== 'late') super.putAside(it, reason);
  }
}

export class Book extends SoundBook {
  protected override newDesk(state?: DeskState): Desk {
    return new Desk(this.options, state);
  }
}
