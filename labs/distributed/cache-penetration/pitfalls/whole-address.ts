// Flaw: the address is the key as it stands, so one IPv6 household has 2^64 clients, and one client has two spellings.
// Seen in: https://github.com/zulip/zulip/issues/21544
// Caught by: all the ways to write one address share one count
import { MissGuard as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class MissGuard extends Reference {
  protected override key(client: string): string {
    return `${super.key('-')}${client}`;
  }
}
