// Flaw: a state is looked up, whoever brings it: an attacker's callback logs its victim in as the attacker (login CSRF).
// Seen in: https://github.com/brendanlong/lion-reader/issues/1263
// Caught by: a callback logs in the browser that began it, and once
import { type Begun, PkceLogin as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PkceLogin extends Reference {
  override begin(_cookie: string | undefined, returnTo?: string): Promise<Begun> {
    return super.begin(ANYBODY, returnTo);
  }

  override finish(_cookie: string | undefined, search: string) {
    return super.finish(ANYBODY, search);
  }
}

const ANYBODY = `__Host-login=${'x'.repeat(43)}`;
