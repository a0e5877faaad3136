// Flaw: an idle connection is closed before its client can have read the GOAWAY: what it sent meanwhile is in doubt.
// Seen in: https://github.com/grpc/grpc-java/issues/5806
// Caught by: a call that crosses the GOAWAY of an idle connection goes once more, whatever its method
import { RpcServer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RpcServer extends Reference {
  protected override leave(lameDuckMs: number, limitMs: number): Promise<number> {
    return super.leave(lameDuckMs, limitMs, 0);
  }
}
