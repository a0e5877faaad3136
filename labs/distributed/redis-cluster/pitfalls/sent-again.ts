// Flaw: a command whose connection broke is sent again, whether or not it was carried out: a payment is made twice.
// Seen in: https://github.com/redis/redis-py/issues/261
// Caught by: a command whose answer was lost is not sent again: nobody knows whether it was carried out
import { OutcomeUnknownError, ClusterRouter as Reference } from '../src/index.ts';
import type { Request } from '../src/request.ts';

export * from '../src/index.ts';

export class ClusterRouter extends Reference {
  protected override judge(error: unknown, request: Request, address: string): Error {
    try {
      return super.judge(error, request, address);
    } catch (verdict) {
      if (verdict instanceof OutcomeUnknownError) return verdict;
      throw verdict;
    }
  }
}
