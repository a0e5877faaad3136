// Flaw: the windows are kept in one transaction and the positions in the next, so that a crash in between counts twice.
// Seen in: consumers that write results to a database and commit offsets to the broker
// Caught by: lines are counted and passed in one step: a transaction that fails leaves neither
export * from '../src/index.ts';

import { type Desk, Book as Sound } from '../src/index.ts';

export class Book extends Sound {
  override async update(work: (desk: Desk) => void): Promise<void> {
    const remembered = this.forgetDesk();
    const { desk, version, changes } = await this.run(async (tx) => {
      const memory = await this.openDesk(tx, remembered);
      work(memory.desk);
      const changes = memory.desk.changes();
      await this.writeWindows(tx, changes);
      return { ...memory, changes };
    });
    await this.run((tx) => this.writePositions(tx, changes, desk));
    this.memory = { desk, version: version + 1 };
  }
}
