import type { Locator, Page } from 'playwright-core';

/** A page object, thin: where things are, by the names that a reader or a screen reader would say. It waits and asserts nothing. */
export class ShopPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  get search(): Locator {
    return this.page.getByLabel('Search for a title');
  }

  get status(): Locator {
    return this.page.getByRole('status');
  }

  get alert(): Locator {
    return this.page.getByRole('alert');
  }

  get thanks(): Locator {
    return this.page.getByRole('heading', { name: 'Thank you' });
  }

  get send(): Locator {
    return this.page.getByRole('button', { name: /^(Send the order|Try again)$/ });
  }

  async open(view: 'react' | 'vue' = 'react'): Promise<void> {
    // A page that gives a slow machine time: what a law is about is never how long it took.
    await this.page.goto(`/${view}?timeoutMs=60000`);
  }

  /** Opens the form for a book, and fills it in. */
  async choose(title: string): Promise<void> {
    await this.page.getByRole('button', { name: `Order ${title}`, exact: true }).click();
    await this.page.getByLabel('Name and address').fill('Anna, 1 High Street');
  }
}
