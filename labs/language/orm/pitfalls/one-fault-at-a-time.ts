// Flaw: validation stops at the first fault, so a form is sent as often as it has faults.
// Seen in: https://github.com/gocd/gocd/pull/6202
// Caught by: validation reports all that is wrong at once, before anything is sent
import { type Issue, Model as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Model extends Reference {
  override validate(): Issue[] {
    return super.validate().slice(0, 1);
  }
}
