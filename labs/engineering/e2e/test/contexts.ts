import type { Browser } from '@shared/services';
import type { Browser as Playwright } from 'playwright-core';

/** The browser as Playwright knows it: for contexts with an address and a state of their own. */
export async function playwrightOf(browser: Browser): Promise<Playwright> {
  const context = (await browser.page()).context();
  const found = context.browser();
  await context.close();
  if (!found) throw new Error('the context belongs to no browser');
  return found;
}
