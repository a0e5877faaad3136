import type { RuleId } from '#lab';

/** One program twice: with the fault, and as it should be. A text is the file `app.ts`. */
export interface Twin {
  readonly rule: RuleId;
  readonly bad: string | Readonly<Record<string, string>>;
  readonly good: string | Readonly<Record<string, string>>;
}
