// Flaw: at the deadline the connection goes back to the pool while the handler still works on it, beside its next borrower.
// Seen in: https://github.com/zombocom/rack-timeout/issues/40
// Caught by: who is cut off is answered at once, and nothing of it is kept, though the handler goes on to its end
import type { Call } from '../src/call.ts';
import { Api as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Api extends Reference {
  protected override async settle<T>(call: Call, work: () => Promise<T>): Promise<T> {
    let value: T;
    try {
      value = await Promise.race([call.cutOff, work()]);
      call.decide();
    } catch (error) {
      await this.takeBack(call, { error });
      throw error;
    }
    await this.takeBack(call);
    return value;
  }
}
