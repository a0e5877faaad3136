// Flaw: each read asks for what comes from now on (`$`): what was sent between two reads, or while the connection was lost, is never read.
// Seen in: https://github.com/redis/redis-py/issues/1429
// Caught by: a process that is cut off from Redis for a moment has missed nothing, and hears nothing twice
import { ChannelLayer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ChannelLayer extends Reference {
  protected override cursors(): Map<string, string> {
    return new Map(Array.from(super.cursors().keys(), (group) => [group, '$']));
  }
}
