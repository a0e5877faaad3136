// Flaw: what goes together fails together: one append that Postgres refuses takes along all that came in with it.
// Seen in: https://github.com/google/capsem/issues/125
// Caught by: appends that come in together go together, and one that fails fails alone
import type { NewEvent } from '../src/event-store.ts';
import { GroupCommit } from '../src/group-commit.ts';
import { PostgresEventStore as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class AllOrNone<T> extends GroupCommit<T> {
  protected override async settle(group: Parameters<GroupCommit<T>['settle']>[0]): Promise<void> {
    const error = await this.write(group.map(({ entry }) => entry)).then(
      (results) => void group.forEach(({ resolve }, n) => void resolve(results[n] ?? null)),
      (reason: unknown) => reason,
    );
    if (error) for (const { reject } of group) reject(error);
  }
}

export class PostgresEventStore<E extends NewEvent> extends Reference<E> {
  protected override readonly group = new AllOrNone<string>((entries) => this.write(entries));
}
