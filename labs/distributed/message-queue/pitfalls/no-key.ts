// Flaw: produced without a key. The records of one order are spread over all partitions, and overtake each other.
// Seen in: https://github.com/dpkp/kafka-python/issues/1519
// Caught by: kafka: the records of a key are in one partition, and are handled in order
import { Log as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Log extends Reference {
  #turn = 0;

  protected override message(...given: Parameters<Reference['message']>) {
    const { key: _, ...rest } = super.message(...given);
    return { ...rest, partition: this.#turn++ % 3 };
  }
}
