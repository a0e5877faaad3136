// Flaw: the client has its answer before the dependencies are taken back: "taken", and then the commit is refused.
// Seen in: https://github.com/fastapi/fastapi/issues/3620
// Caught by: whoever is answered can rely on it: the commit comes first, and one that fails is a 500
import type { Call } from '../src/call.ts';
import { Api as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Api extends Reference {
  protected override async settle<T>(call: Call, work: () => Promise<T>): Promise<T> {
    try {
      const value = await Promise.race([call.cutOff, work()]);
      void this.takeBack(call).catch(() => {});
      return value;
    } catch (error) {
      await this.takeBack(call, { error });
      throw error;
    }
  }
}
