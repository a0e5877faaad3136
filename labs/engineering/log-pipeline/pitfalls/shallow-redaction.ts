// Flaw: secrets are hidden by paths of one level, so the one in an error's request headers is written.
// Seen in: https://github.com/pinojs/pino/issues/1708
// Caught by: a secret is in no line, however deep it lies
import { Logger as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Logger extends Reference {
  protected override envelope(given: Record<string, unknown>): Record<string, unknown> {
    const { fields } = given;
    const entries = Object.entries(typeof fields === 'object' && fields !== null ? fields : {});
    const shown = entries.map(([name, value]) => [name, this.redactor.isSecret(name) ? '[redacted]' : value]);
    return { ...super.envelope({}), fields: Object.fromEntries(shown) };
  }
}
