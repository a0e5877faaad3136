// Flaw: first the history is read, then the member becomes live: what is sent between the two is in neither.
// Seen in: https://github.com/upstash/realtime/issues/23
// Caught by: who comes back is given what was missed, once, in order, and then what is new
import { type Group, ChannelLayer as Reference, type Seat } from '../src/index.ts';

export * from '../src/index.ts';

export class ChannelLayer extends Reference {
  protected override async catchUp(group: Group, seat: Seat): Promise<void> {
    for (let newest = ''; seat.last !== newest; ) {
      const { messages, last } = await this.streams.history(group.name, seat.last);
      for (const message of messages) this.deliver(seat, message);
      newest = messages.length > 0 ? last : seat.last;
    }
    seat.last = await this.streams.last(group.name);
    seat.live = true;
  }
}
