// Flaw: of an error only message and stack come back; who asks for its name, its code or its cause asks in vain.
// Seen in: https://github.com/piscinajs/piscina/issues/141
// Caught by: an error keeps its name, its code, its cause and its stack on the way back
import { Executor as Reference } from '../src/index.ts';
import { type RemoteError, reviveError } from '../src/remote-error.ts';

export * from '../src/index.ts';

export class Executor<T extends object> extends Reference<T> {
  protected override revive(remote: RemoteError): unknown {
    const error = reviveError(remote);
    return error instanceof Error ? Object.assign(new Error(error.message), { stack: error.stack }) : error;
  }
}
