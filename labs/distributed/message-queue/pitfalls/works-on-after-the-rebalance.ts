// Flaw: who loses a partition is not told, works on beside the new owner, and commits what that one is at work on.
// Seen in: https://github.com/tulios/kafkajs/issues/1097
// Caught by: kafka: who loses his partition is told, and what he does then is not committed
import { GroupMember, Log as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Member extends GroupMember {
  protected override rebalanced(): void {}
}

export class Log extends Reference {
  protected override member(...given: Parameters<Reference['member']>): GroupMember {
    return new Member(...given);
  }
}
