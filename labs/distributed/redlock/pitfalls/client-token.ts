// Flaw: one token for each client, not for each attempt, so an old lease frees the client's new one.
// Seen in: https://github.com/redis/redis-py/issues/415
// Caught by: a lease that expired cannot release the same client's next lease
import { Redlock as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  readonly #token = super.newToken();

  protected override newToken(): string {
    return this.#token;
  }
}
