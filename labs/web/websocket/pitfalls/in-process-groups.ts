// Flaw: a message is handed to the members of this process, and to nobody in the other ones.
// Seen in: https://github.com/theexperiencecompany/gaia/pull/1141
// Caught by: what is sent in one process is heard in all of them, in the one order of its group
import { Message, ChannelLayer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ChannelLayer extends Reference {
  #sent = 0;

  protected override async publish(name: string, json: string): Promise<string> {
    const id = `${Date.now()}-${++this.#sent}`;
    for (const { member } of this.groups.get(name)?.seats.values() ?? []) {
      member.deliver(new Message(name, id, '0-0', json));
    }
    return id;
  }
}
