// Flaw: a renewal that fails ends the session, whatever it failed of: a train that goes through a tunnel signs everybody out.
// Seen in: https://github.com/cline/cline/pull/8021
// Caught by: a server that cannot be reached ends no session; one that refuses the renewal ends it, once
import { Session as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Session extends Reference {
  protected override async renew(): Promise<string> {
    try {
      return await super.renew();
    } catch (error) {
      this.end();
      throw error;
    }
  }
}
