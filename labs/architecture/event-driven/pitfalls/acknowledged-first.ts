// Flaw: the broker is told that it is done as soon as it is read: a crash in the handler loses the event.
// Seen in: https://github.com/hoangdaochuz/booking/issues/23 (auto-commit on read)
// Caught by: streams: what is not done is not acknowledged
import {
  type Cemetery,
  type Delivery,
  Dispatcher,
  type Reader,
  StreamsBus as Reference,
  type StreamsOptions,
  type SubscribeOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

class Hasty extends Dispatcher {
  protected override async process(delivery: Delivery, signal: AbortSignal): Promise<void> {
    await delivery.ack();
    await super.process(delivery, signal);
  }
}

export class StreamsBus extends Reference {
  readonly #letters: Cemetery;

  constructor(redis: ConstructorParameters<typeof Reference>[0], dead: Cemetery, options?: StreamsOptions) {
    super(redis, dead, options);
    this.#letters = dead;
  }

  protected override dispatcher(group: string, reader: Reader, options: Required<SubscribeOptions>): Dispatcher {
    return new Hasty(group, reader, options, this.#letters);
  }
}
