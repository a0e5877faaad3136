// Flaw: the version is looked up at the moment of writing, so a decision on an old state is written too.
// Seen in: https://github.com/CJSCommonPlatform/microservice_framework_version_6/issues/356
// Caught by: of several decisions on one version one is written
import type { Append, NewEvent } from '../src/event-store.ts';
import { ConflictError, PostgresEventStore as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresEventStore<E extends NewEvent> extends Reference<E> {
  override async append(entry: Append<E>): Promise<bigint> {
    for (;;) {
      try {
        return await super.append({ ...entry, expectedVersion: (await this.read(entry.stream)).length });
      } catch (error) {
        const known = await this.positionOf(entry.commandId);
        if (!(error instanceof ConflictError) || known !== undefined) throw error;
      }
    }
  }
}
