// Flaw: every failure is repeated, also those that are answers, and those that say "too late".
// Seen in: https://github.com/googleapis/gax-java/issues/561
// Caught by: only what is idempotent is repeated, and only when the server was not there
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { RetryPolicy as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RetryPolicy extends Reference {
  protected override canMend(method: DescMethod, _error: ConnectError): boolean {
    return super.canMend(method, new ConnectError('any', Code.Unavailable));
  }
}
