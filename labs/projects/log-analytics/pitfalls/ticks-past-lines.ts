// Flaw: who finds no line lets time go on, though lines may have come since he looked.
// Seen in: https://github.com/numaproj/numaflow/issues/3399
// Caught by: time does not go on past lines that wait
export * from '../src/index.ts';

import { Analyser as Sound } from '../src/index.ts';

export class Analyser extends Sound {
  override async tick(): Promise<void> {
    const now = await this.o.intake.now();
    await this.o.book.update((desk) => desk.tick(now));
  }
}
