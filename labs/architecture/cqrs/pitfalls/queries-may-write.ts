// Flaw: a query runs in a transaction like any other, so one that changes something is not noticed.
// Seen in: https://github.com/hyperledger-iroha/iroha/issues/3717
// Caught by: queries never write
import { Queries as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Queries extends Reference {
  protected override readonly begin = 'BEGIN';
}
