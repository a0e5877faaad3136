import type { SubmissionState } from './submission.ts';

/** Where the keyboard goes when an order has come a step further: to its first field, to the first wrong one, to the thanks. */
export function focusOn(part: HTMLElement | null, status: SubmissionState<unknown>['status']): void {
  const wanted = { idle: 'input', sending: undefined, failed: '[aria-invalid="true"]', sent: 'h2' }[status];
  if (wanted !== undefined) part?.querySelector<HTMLElement>(wanted)?.focus();
}

/** @returns what brings the keyboard back to where it is now, unless it has found another place by then */
export function keepFocus(): () => void {
  const before = document.activeElement;
  return () => {
    if (before instanceof HTMLElement && document.activeElement === document.body) before.focus();
  };
}
