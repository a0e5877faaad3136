// Flaw: the guard listens to the page that the test was given, and to no tab that is opened later.
// Seen in: https://github.com/microsoft/playwright/issues/24466
// Caught by: an error in another tab, in a popup or in a frame fails the test as well
import { Guard as Reference } from '../src/guard.ts';

export * from '../src/index.ts';

export class Guard extends Reference {
  protected override listen(): void {
    for (const page of this.context.pages()) {
      page.on('pageerror', (error) => this.note({ kind: 'exception', text: String(error), url: page.url() }));
      page.on('console', (message) => {
        if (message.type() === 'error') this.note({ kind: 'console', text: message.text(), url: page.url() });
      });
    }
  }
}
