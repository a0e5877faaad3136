// Flaw: a state is kept and never asked whether it is still good, so that one morning every test is at the sign-in form.
// Seen in: https://github.com/microsoft/playwright/issues/15393
// Caught by: a user signs in once for all tests, and anew when his session is over
import { SignIns as Reference } from '../src/session.ts';

export * from '../src/index.ts';

export class SignIns extends Reference {
  protected override async isGood(): Promise<boolean> {
    return true;
  }
}
