import type {
  Browser,
  PlaywrightTestArgs,
  PlaywrightTestOptions,
  PlaywrightWorkerArgs,
  PlaywrightWorkerOptions,
  TestType,
} from '@playwright/test';
import { TestDatabase } from './database.ts';
import { Guard } from './guard.ts';
import { Network } from './network.ts';
import { SignIns, type SignInsOptions } from './session.ts';

/** What the fixtures are made of. */
export interface Parts {
  readonly TestDatabase: Pick<typeof TestDatabase, 'create'>;
  readonly Guard: Pick<typeof Guard, 'watch'>;
  readonly Network: Pick<typeof Network, 'open'>;
  readonly SignIns: new (options: SignInsOptions) => SignIns;
}

/** The app under test, as one worker has it. */
export interface App extends AsyncDisposable {
  readonly url: string;
  /** Resolves when no request is under way any more: what the test before has begun must not write into the next. */
  readonly settled?: () => Promise<void>;
}

export interface Setup<A extends App> extends Pick<SignInsOptions, 'signIn' | 'isGood'> {
  /** See TestDatabase. */
  readonly adminUrl: string;
  /** Starts the app on its own database, with its first rows. `worker` is 0, 1, 2 …: never two of one number at once. */
  readonly open: (databaseUrl: string, worker: number) => Promise<A>;
  /** A browser that runs already, by its DevTools address. Default: Playwright starts its own. */
  readonly cdpUrl?: string | undefined;
  /** See GuardOptions. */
  readonly origins?: readonly string[];
  /** Classes of your own in the place of these, made from them by `extends`. Default: those of this library. */
  readonly parts?: Partial<Parts>;
}

export interface TestFixtures {
  /** Who sits at the browser: `test.use({ user: 'anna' })`. Default: nobody. */
  readonly user: string | undefined;
  readonly guard: Guard;
  readonly network: Network;
  /** Automatic: the rows of the snapshot, for this test. */
  readonly fresh: undefined;
}

export interface WorkerFixtures<A extends App> {
  readonly database: TestDatabase;
  readonly app: A;
  readonly signIns: SignIns;
}

type Base = TestType<PlaywrightTestArgs & PlaywrightTestOptions, PlaywrightWorkerArgs & PlaywrightWorkerOptions>;
type Extended<A extends App> = TestType<
  PlaywrightTestArgs & PlaywrightTestOptions & TestFixtures,
  PlaywrightWorkerArgs & PlaywrightWorkerOptions & WorkerFixtures<A>
>;

/** What a failed test leaves behind, for the `use` of playwright.config.ts: a trace that opens, and a picture. */
export const evidence = {
  trace: { mode: 'retain-on-failure', snapshots: true, screenshots: false, sources: true },
  screenshot: 'only-on-failure',
} as const;

/**
 * Playwright's `test`, with an app and a database for each worker, rows of its own for each test, and a guard that fails the
 * noisy one.
 */
export function extend<A extends App>(base: Base, setup: Setup<A>): Extended<A> {
  const { cdpUrl } = setup;
  const parts: Parts = { TestDatabase, Guard, Network, SignIns, ...setup.parts };
  const onBrowser =
    cdpUrl === undefined
      ? base
      : base.extend<object, { browser: Browser }>({
          browser: [
            async ({ playwright }, use) => use(await playwright.chromium.connectOverCDP(cdpUrl)),
            { scope: 'worker' },
          ],
        });
  return onBrowser.extend<TestFixtures, WorkerFixtures<A>>({
    user: [undefined, { option: true }],
    database: [
      // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of the fixtures that are needed
      async ({}, use) => {
        await using database = await parts.TestDatabase.create(setup.adminUrl);
        await use(database);
      },
      { scope: 'worker' },
    ],
    app: [
      async ({ database }, use, { parallelIndex }) => {
        await using app = await setup.open(database.url, parallelIndex);
        await database.snapshot();
        await use(app);
      },
      { scope: 'worker' },
    ],
    signIns: [
      async ({ browser, app }, use) => use(new parts.SignIns({ ...setup, browser, baseURL: app.url })),
      { scope: 'worker' },
    ],
    fresh: [
      async ({ app, database }, use) => {
        await app.settled?.();
        await database.reset();
        await use(undefined);
      },
      { auto: true },
    ],
    baseURL: async ({ app }, use) => use(app.url),
    // Behind the reset: a session that is kept in the database is gone with it, and then he signs in anew.
    storageState: async ({ user, signIns, fresh: _ }, use) =>
      use(user === undefined ? undefined : await signIns.stateOf(user)),
    guard: [
      async ({ context, app }, use, info) => {
        await using guard = await parts.Guard.watch(context, {
          baseURL: app.url,
          ...(setup.origins && { origins: setup.origins }),
        });
        await use(guard);
        // Who skips himself half-way has promised nothing.
        if (info.status !== 'skipped') await guard.verify();
      },
      { auto: true },
    ],
    network: async ({ context, guard: _ }, use, info) => {
      await using network = await parts.Network.open(context);
      await use(network);
      if (info.status !== 'skipped') network.verify();
    },
  });
}
