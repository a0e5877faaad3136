// Flaw: the quantity is checked where requests come in; the import at night and the tool of the back office come in elsewhere.
// Seen in: https://github.com/dotnetjunkie/solidservices/issues/39
// Caught by: a quantity that no guest can order is refused, whoever asks
import { Order as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Order extends Reference {
  protected override mustBeServable(_quantity: number): void {}
}
