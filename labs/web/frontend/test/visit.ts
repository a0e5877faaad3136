import type { Browser } from '@shared/services';
import type { Locator, Page } from 'playwright-core';
import type { View } from './build.ts';
import type { Front } from './front.ts';

interface VisitOptions extends NonNullable<Parameters<Browser['page']>[0]> {
  /** How long the page waits for an answer. Default 8000. */
  readonly timeoutMs?: number | undefined;
}

/** A customer at one of the two pages: what he sees and can do, by the names that a screen reader would say. */
export class Visit implements AsyncDisposable {
  readonly view: View;
  readonly front: Front;
  readonly page: Page;
  /** What the page has thrown and nobody caught. */
  readonly thrown: Error[] = [];

  private constructor(view: View, front: Front, page: Page) {
    this.view = view;
    this.front = front;
    this.page = page;
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => this.thrown.push(error));
  }

  /** Resolves once the books are there. */
  static async begin(browser: Browser, front: Front, view: View, o: VisitOptions = {}): Promise<Visit> {
    const { timeoutMs, ...page } = o;
    const visit = new Visit(view, front, await browser.page(page));
    try {
      await visit.load(timeoutMs);
    } catch (error) {
      await visit[Symbol.asyncDispose]();
      throw error;
    }
    return visit;
  }

  /** Loads the page anew. Resolves once the books are there; rejects as soon as the page throws. */
  async load(timeoutMs = 8000): Promise<void> {
    this.thrown.length = 0;
    const broken = Promise.withResolvers<never>();
    this.page.once('pageerror', broken.reject);
    const opened = this.page.goto(`${this.front.url}/${this.view}?timeoutMs=${timeoutMs}`, { waitUntil: 'commit' });
    for (const each of [opened, broken.promise]) each.catch(() => {});
    await Promise.race([opened.then(() => this.status('books').waitFor()), broken.promise]);
    this.page.off('pageerror', broken.reject);
  }

  get search(): Locator {
    return this.field('Search for a title');
  }

  field(name: string): Locator {
    return this.page.getByLabel(name);
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true });
  }

  heading(name: string): Locator {
    return this.page.getByRole('heading', { name });
  }

  status(text: string): Locator {
    return this.page.getByRole('status').filter({ hasText: text });
  }

  alert(text: string): Locator {
    return this.page.getByRole('alert').filter({ hasText: text });
  }

  /** Presses each. */
  async keys(...names: readonly string[]): Promise<void> {
    for (const name of names) await this.page.keyboard.press(name);
  }

  /** What has the keyboard, by its text or else its id. */
  focused(): Promise<string> {
    return this.page.evaluate(() => document.activeElement?.textContent || document.activeElement?.id || '');
  }

  /** Opens the form for a book, and says where it goes. */
  async choose(title: string): Promise<void> {
    await this.button(`Order ${title}`).click();
    await this.field('Name and address').fill('Anna, 1 High Street');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
  }
}
