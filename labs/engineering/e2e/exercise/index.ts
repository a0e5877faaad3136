import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import type { PoolClient } from 'pg';
import { TestDatabase as GivenDatabase } from '../src/database.ts';
import { Guard as GivenGuard } from '../src/guard.ts';
import {
  type AuditOptions,
  type Entanglement,
  type Fault,
  type FaultOptions,
  SignIns as GivenSignIns,
  type IsolationOptions,
  type Match,
  type RunInOrder,
  type State,
  type Verdict,
} from '../src/index.ts';
import { Network as GivenNetwork, type SetFault } from '../src/network.ts';

// Yours is what makes a browser test mean something. Given, in src/: errors, options, the fixtures that put it all together, and
// what is around each idea. The re-exports below bring no name into this file: import what you need from '../src/index.ts'. `h` in
// `pnpm lab learn e2e` gives a hint.
export {
  AccessibilityError,
  type App,
  type AuditOptions,
  DatabaseBusyError,
  DatabaseError,
  E2eError,
  type Entanglement,
  type Exception,
  evidence,
  extend,
  type Fault,
  type FaultOptions,
  type GuardOptions,
  InvalidArgumentError,
  type IsolationOptions,
  inRandomOrder,
  type Match,
  type Noise,
  NoisyPageError,
  type Parts,
  type Rate,
  ReportError,
  type RunInOrder,
  rate,
  readReport,
  type Setup,
  SignInError,
  type SignInsOptions,
  type State,
  type TestDatabaseOptions,
  type TestFixtures,
  type Told,
  UnusedFaultError,
  type Verdict,
  type Violation,
  type WorkerFixtures,
} from '../src/index.ts';

/**
 * Listens to every page of a context, popups and second tabs too: console errors, exceptions that nobody caught, crashes.
 * Given: `watch`, which blocks and notes requests to strangers; `note`, which keeps a noise; `announce`, which keeps what the
 * test says will come in `this.announced`.
 */
export class Guard extends GivenGuard {
  /**
   * Yours: have `this.context` call `this.note({ kind, text, url })` for each console error, exception and crash. The `url` of a
   * console error is where it was said (`message.location()`): by it `note` leaves out what the console says of a blocked request.
   */
  protected override listen(): void {
    todo('Guard.listen');
  }

  /**
   * Yours. The message has a first line of your own, and below it a line for each: `kind: text  (url)`, or
   * `announced, and never heard: ${said}`.
   * @throws NoisyPageError for what nobody has announced, and for what was announced and never came
   */
  override async verify(): Promise<void> {
    await this.lastWords();
    todo('Guard.verify');
  }

  /** Yours: ends when each page has said all that it had to say; a page that hangs is given a second. */
  protected override async lastWords(): Promise<void> {}
}

/** Given: a database of the worker's own, its end, and one transaction around each of these two. */
export class TestDatabase extends GivenDatabase {
  /**
   * Yours: copies of all rows (`this.copies` names a schema for them, `this.tables(client)` the tables), noted in `this.kept`; and in `this.numbers` where each sequence stands, which `this.sequences(client)` says.
   */
  protected override async keep(_client: PoolClient): Promise<void> {
    todo('TestDatabase.keep');
  }

  /** Yours: the rows and the numbers are those of the snapshot again. */
  protected override async restore(_client: PoolClient): Promise<void> {
    todo('TestDatabase.restore');
  }
}

/** Given: `enter` (through the form, a state comes out), `isGood` (does the server still know him), `this.states`. */
export class SignIns extends GivenSignIns {
  /** Yours: a state in which `user` is signed in now, a copy for each who asks. */
  override async stateOf(_user: string): Promise<State> {
    return todo('SignIns.stateOf');
  }

  /** Yours: one sign-in for all who wait; a failed one is not kept. */
  protected override shared(_user: string): Promise<State> {
    return todo('SignIns.shared');
  }
}

/** Given: `arrive`, which sends a request and keeps its answer from the page, `slow`, `answer`, `offline`, `heal`, and `set`, which makes a fault: `this.set('reset', match, options, (route) => …)`. */
export class Network extends GivenNetwork {
  /** Yours: the connection breaks before the request is at the server. */
  override reset(_match: Match, _options?: FaultOptions): Fault {
    return todo('Network.reset');
  }

  /** Yours: the server gets the request and does it, and the answer is lost. */
  override lose(_match: Match, _options?: FaultOptions): Fault {
    return todo('Network.lose');
  }

  /** Yours. @throws what `this.broken` holds, if anything; UnusedFaultError naming each of `this.known` that befell no request: `befell no request: reset POST /order.` */
  override verify(): void {
    todo('Network.verify');
  }

  /** Yours: which of `this.faults` befalls this request, counted. */
  protected override take(_request: Parameters<SetFault['matches']>[0]): SetFault | undefined {
    return todo('Network.take');
  }
}

/**
 * Fails when axe finds something wrong with the page as it is now. The message has a first line of your own, and below it a line
 * for each: `rule (impact): help  at`.
 * @throws AccessibilityError naming each rule and each element, an exception that nothing needs any more, and a page on which
 *   there was nothing to judge
 */
export async function audit(page: Page, { tags = WCAG_AA, except: _ = [] }: AuditOptions = {}): Promise<void> {
  const { violations: _found, passes: _right } = await new AxeBuilder({ page }).withTags([...tags]).analyze();
  todo('audit');
}

const WCAG_AA: readonly string[] = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/** Of all attempts, not of the last one: a test that didn't run has passed nothing, and one that was cut off neither. */
export function verdictOf(_attempts: readonly string[], _expected = 'passed'): Verdict {
  return todo('verdictOf');
}

/**
 * Which tests depend on each other: whose result changes with the order, and because of whom. `inRandomOrder` is given.
 */
export async function entanglements(
  _tests: readonly string[],
  _run: RunInOrder,
  _o: IsolationOptions = {},
): Promise<Entanglement[]> {
  return todo('entanglements');
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
