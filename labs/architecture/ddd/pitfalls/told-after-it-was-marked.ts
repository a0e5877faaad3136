// Flaw: the event is marked as delivered before the subscriber has it, so a subscriber that fails never hears of it again.
// Seen in: https://github.com/civitai/civitai/pull/3275
// Caught by: an event whose subscriber failed is told again, before the later ones of its order
import { OutboxRelay as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class OutboxRelay extends Reference {
  protected override async tell(...told: Parameters<Reference['mark']>): Promise<void> {
    await this.mark(...told);
    await super.tell(...told);
  }
}
