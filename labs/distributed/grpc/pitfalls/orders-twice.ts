// Flaw: whatever ended with UNAVAILABLE is repeated, also what the server may have done: an order is placed twice.
// Seen in: https://github.com/etcd-io/jetcd/issues/1444
// Caught by: only what is idempotent is repeated, and only when the server was not there
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, type ConnectError } from '@connectrpc/connect';
import { RetryPolicy as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RetryPolicy extends Reference {
  protected override canMend(_method: DescMethod, error: ConnectError): boolean {
    return error.code === Code.Unavailable;
  }
}
