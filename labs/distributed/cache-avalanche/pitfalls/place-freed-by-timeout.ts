// Flaw: a place is free as soon as its caller has been told "too late", while the database is still at work on the query.
// Seen in: https://github.com/Netflix/Hystrix/issues/1867
// Caught by: a load that goes on after its time keeps its place: the database is still at work
import { DatabaseGate as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class DatabaseGate extends Reference {
  protected override leaveAfter(): void {
    this.leave();
  }
}
