import type { Browser, BrowserContext, Page } from '@playwright/test';
import { InvalidArgumentError, SignInError } from './errors.ts';

/** Cookies and storage of a browser in which somebody is signed in. It is as good as his password. */
export type State = Awaited<ReturnType<BrowserContext['storageState']>>;

export interface SignInsOptions {
  readonly browser: Pick<Browser, 'newContext'>;
  readonly baseURL: string;
  /** Signs `user` in, as he would do it; ends when he is signed in. */
  readonly signIn: (page: Page, user: string) => Promise<void>;
  /** Whether the server still knows who this is: one cheap request by `context.request`. */
  readonly isGood: (context: BrowserContext, user: string) => Promise<boolean>;
}

/** Signs each user in once, and keeps the state in memory: a file would be a password on a disk, and outlive its session. */
export class SignIns {
  /** How often somebody has gone through the form. */
  done = 0;
  protected readonly options: SignInsOptions;
  protected readonly states = new Map<string, Promise<State>>();

  constructor(options: SignInsOptions) {
    this.options = options;
  }

  /**
   * A state in which `user` is signed in now. Who asks while he is being signed in waits for the same.
   * @throws SignInError when the server doesn't know him after he was signed in; whatever `signIn` throws
   */
  async stateOf(user: string): Promise<State> {
    if (user === '') throw new InvalidArgumentError('a user without a name: leave `user` out for nobody');
    const kept = this.states.get(user);
    if (kept) {
      const state = await kept;
      if (await this.isGood(state, user)) return structuredClone(state);
      // Of several who find it expired, one signs in.
      if (this.states.get(user) === kept) this.states.delete(user);
    }
    return structuredClone(await this.shared(user));
  }

  /** One sign-in for all who wait. A failed one is not kept. */
  protected shared(user: string): Promise<State> {
    const under = this.states.get(user);
    if (under) return under;
    const begun = this.enter(user);
    this.states.set(user, begun);
    begun.catch(() => {
      if (this.states.get(user) === begun) this.states.delete(user);
    });
    return begun;
  }

  protected async isGood(state: State, user: string): Promise<boolean> {
    const { browser, baseURL, isGood } = this.options;
    const context = await browser.newContext({ baseURL, storageState: state });
    try {
      return await isGood(context, user);
    } finally {
      await context.close();
    }
  }

  protected async enter(user: string): Promise<State> {
    const { browser, baseURL, signIn, isGood } = this.options;
    this.done++;
    const context = await browser.newContext({ baseURL });
    try {
      await signIn(await context.newPage(), user);
      const state = await context.storageState({ indexedDB: true });
      if (await isGood(context, user)) return state;
      throw new SignInError(
        `${user} went through the form, and the server doesn't know him. Does signIn wait for its end?`,
      );
    } finally {
      await context.close();
    }
  }
}
