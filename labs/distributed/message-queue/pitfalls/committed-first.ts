// Flaw: the offset is committed when the record has been read, before the work. Who dies at work, loses it.
// Seen in: https://github.com/confluentinc/librdkafka/issues/2609
// Caught by: kafka: what a member had in hand when it died comes to the next one
import { GroupMember, Log as Reference, Tenure } from '../src/index.ts';

export * from '../src/index.ts';

class Hasty extends Tenure {
  protected override async work(...given: Parameters<Tenure['work']>): Promise<void> {
    super.work(...given).catch(() => {});
  }
}

class Member extends GroupMember {
  protected override tenure(): Tenure {
    return new Hasty(this.options, this.commit);
  }
}

export class Log extends Reference {
  protected override member(...given: Parameters<Reference['member']>): GroupMember {
    return new Member(...given);
  }
}
