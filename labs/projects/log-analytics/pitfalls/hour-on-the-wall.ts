// Flaw: the hour is read as it stands on the line, whatever zone stands behind it.
// Seen in: parsers that cut the offset off, and shops in two zones
// Caught by: totals are those that Postgres counts from the same lines
export * from '../src/index.ts';

import { type DeskState, type Line, parseLine, Desk as Sound, Book as SoundBook } from '../src/index.ts';

export class Desk extends Sound {
  protected override parse(text: string): Line | undefined {
    return parseLine(text.replace(/[+-]\d\d:\d\d /, 'Z '));
  }
}

export class Book extends SoundBook {
  protected override newDesk(state?: DeskState): Desk {
    return new Desk(this.options, state);
  }
}
