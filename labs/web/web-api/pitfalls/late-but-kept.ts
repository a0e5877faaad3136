// Flaw: who is cut off is told "too late", and the handler, which went on, has its work committed: the client orders again.
// Seen in: https://github.com/getodk/central-backend/issues/407
// Caught by: who is cut off is answered at once, and nothing of it is kept, though the handler goes on to its end
import type { Call } from '../src/call.ts';
import { Api as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Api extends Reference {
  protected override settle<T>(call: Call, work: () => Promise<T>): Promise<T> {
    const settled = async (): Promise<T> => {
      let value: T;
      try {
        value = await work();
      } catch (error) {
        await this.takeBack(call, { error });
        throw error;
      }
      await this.takeBack(call);
      return value;
    };
    return Promise.race([call.cutOff, settled()]);
  }
}
