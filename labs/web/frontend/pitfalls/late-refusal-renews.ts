// Flaw: a 401 that comes after the renewal is taken for one of the new token, and renews again.
// Seen in: https://github.com/inite-ai/inite-brain-service/pull/641
// Caught by: a refusal that comes after the renewal asks for no other
import { Session as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Session extends Reference {
  override renewed(refused: string | undefined): Promise<string> {
    return super.renewed(this.current ?? refused);
  }
}
