import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { AccessibilityError, InvalidArgumentError, type Violation } from './errors.ts';

export interface Exception {
  /** axe's name of the rule. */
  readonly rule: string;
  /** Part of the element's selector. Default: wherever it is. */
  readonly at?: string;
  /** Why it is let through, for who reads it next year. */
  readonly why: string;
}

export interface AuditOptions {
  /** axe's tags. Default: WCAG 2.2 to level AA, which is what laws ask for. */
  readonly tags?: readonly string[];
  readonly except?: readonly Exception[];
}

const WCAG_AA = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/**
 * Fails when axe finds something wrong with the page as it is now: wait for what is to be judged first.
 * @throws AccessibilityError naming each rule and each element, an exception that nothing needs any more, and a page on which
 *   there was nothing to judge
 */
export async function audit(page: Page, { tags = WCAG_AA, except = [] }: AuditOptions = {}): Promise<void> {
  for (const { rule, why } of except)
    if (rule === '' || why.trim() === '') throw new InvalidArgumentError(`the exception for "${rule}" says no why`);
  const { violations, passes } = await new AxeBuilder({ page }).withTags([...tags]).analyze();
  const found: Violation[] = violations.flatMap(({ id, impact, help, nodes }) =>
    nodes.map(({ target }) => ({ rule: id, impact: impact ?? 'unknown', help, at: target.flat().join(' >>> ') })),
  );
  const fits = ({ rule, at = '' }: Exception, each: Violation) => rule === each.rule && each.at.includes(at);
  const wrong = found.filter((each) => !except.some((exception) => fits(exception, each)));
  const stale = except.filter((exception) => !found.some((each) => fits(exception, each)));
  const lines = [
    ...wrong.map(({ rule, impact, help, at }) => `${rule} (${impact}): ${help}  ${at}`),
    ...stale.map(({ rule, at = 'any element', why }) => `an exception that nothing needs: ${rule}, ${at} (${why})`),
    ...(violations.length + passes.length === 0
      ? ['nothing to judge: the page is empty, or no rule has these tags']
      : []),
  ];
  if (lines.length > 0)
    throw new AccessibilityError(`${page.url()} is not for everybody:\n  ${lines.join('\n  ')}`, wrong);
}
