// Flaw: history that is trimmed is skipped: who was away for too long goes on with what is left, and believes it is all.
// Seen in: https://github.com/PostHog/posthog/pull/101104
// Caught by: who asks for what is no longer kept is told to resync, and not given a gap in silence
import { isBefore, type Message, ChannelLayer as Reference, type Seat } from '../src/index.ts';

export * from '../src/index.ts';

export class ChannelLayer extends Reference {
  protected override deliver(seat: Seat, message: Message): void {
    if (!isBefore(seat.last, message.id)) return;
    seat.last = message.id;
    seat.member.deliver(message);
  }
}
