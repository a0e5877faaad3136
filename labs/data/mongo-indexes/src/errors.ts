import type { ExplainSummary } from './explain.ts';
import { shown } from './plan.ts';

/** Whatever is refused here. */
export class IndexError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that nothing can be made of. Nothing was sent. */
export class InvalidArgumentError extends IndexError {}

/** The query doesn't do with the index what was asked of it. `reasons` says why, `summary` what was read. */
export class NotIndexedError extends IndexError {
  readonly reasons: readonly string[];
  readonly summary: ExplainSummary;

  constructor(reasons: readonly string[], summary: ExplainSummary) {
    const { stages, keys, docs, returned } = summary;
    super(`${reasons.join(' ')} Plan: ${stages.join(' ← ')}; keys ${keys}, documents ${docs}, returned ${returned}.`);
    this.reasons = reasons;
    this.summary = summary;
  }
}

/** There is no plan to judge: the server refused to explain, or didn't answer. `cause` is what the driver threw. */
export class ExplainFailedError extends IndexError {
  constructor(cause: unknown) {
    super(
      `MongoDB didn't explain the query (${cause instanceof Error ? cause.message : shown(cause)}): is it up, and is the query valid?`,
      { cause },
    );
  }
}
