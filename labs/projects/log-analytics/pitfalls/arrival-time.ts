// Flaw: a line is counted in the window in which it arrived.
// Seen in: dashboards that count with `now()`, or by the time at which the collector got the line
// Caught by: a line is counted in the window of its own time, in whatever order lines come
export * from '../src/index.ts';

import { type Aside, type DeskState, type Line, Desk as Sound, Book as SoundBook } from '../src/index.ts';

export class Desk extends Sound {
  protected override fileLine(line: Line | undefined, it: Omit<Aside, 'reason'>): void {
    super.fileLine(line && { ...line, at: it.arrivedAt }, it);
  }
}

export class Book extends SoundBook {
  protected override newDesk(state?: DeskState): Desk {
    return new Desk(this.options, state);
  }
}
