// Flaw: no method asks for the status, so what was paid is not what is cooked.
// Seen in: https://github.com/shinesoftware/shineisp/issues/356
// Caught by: a placed order is not edited
import { Order as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Order extends Reference {
  protected override mustBeDraft(_action: string): void {}
}
