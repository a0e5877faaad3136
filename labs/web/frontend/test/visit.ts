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
    page.setDefaultTimeout(8000);
    page.on('pageerror', (error) => this.thrown.push(error));
  }

  /** Resolves once the books are there. */
  static async begin(browser: Browser, front: Front, view: View, o: VisitOptions = {}): Promise<Visit> {
    const { timeoutMs = 8000, ...page } = o;
    const visit = new Visit(view, front, await browser.page(page));
    const shown = visit.status('books').waitFor();
    const broken = Promise.withResolvers<never>();
    visit.page.once('pageerror', broken.reject);
    const opened = visit.page.goto(`${front.url}/${view}?timeoutMs=${timeoutMs}`);
    for (const each of [opened, shown, broken.promise]) each.catch(() => {});
    try {
      await Promise.race([opened.then(() => shown), broken.promise]);
    } catch (error) {
      await visit[Symbol.asyncDispose]();
      throw error;
    }
    return visit;
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
